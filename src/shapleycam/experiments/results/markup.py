"""A sheet in a language of documents: Markdown, LaTeX or HTML; what users named is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from shapleycam.experiments.results.sheets import Entry, Line, Sheet

_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "{''}",
    "+": "{+}",
    "\u2212": "$-$",
    "\u2013": "--",
    "\u2020": r"$\dagger$",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "φ": r"$\varphi$",
    "ρ": r"$\rho$",
}
_TEX_TABLE = r"""\begin{{table}}
\centering
\caption{{{caption}}}
\begin{{tabular}}{{ll{figures}}}
\hline
{heads} \\
{rows}
\hline
\end{{tabular}}
{notes}\end{{table}}
"""
_NUMBER, _LINE = "text-align:right;padding:2px 8px", "border-top:1px solid"


@dataclass(frozen=True)
class _Language:
    """How a language writes text, the best, the second, and the mark of a significant lead."""

    text: Callable[[str], str]
    best: str
    second: str
    mark: str

    def entry(self, entry: Entry) -> str:
        """A figure."""
        form = self.best if entry.best else self.second if entry.second else "%s"
        return form % self.text(entry.text) + self.mark * entry.marked

    def cells(self, line: Line) -> list[str]:
        """Network (on the first of its lines), method and figures."""
        names = [self.text(line.model if line.first else ""), self.text(line.method)]
        return [*names, *map(self.entry, line.entries)]


def _tex_text(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_MARKDOWN = _Language(_markdown_text, "**%s**", "<ins>%s</ins>", r"\*")
_LATEX = _Language(_tex_text, r"\textbf{%s}", r"\underline{%s}", "$^{*}$")
_HTML = _Language(escape, "<strong>%s</strong>", "<u>%s</u>", "<sup>*</sup>")


def markdown(sheet: Sheet) -> str:
    """A bold caption, the table, and a paragraph a note."""
    rows = [
        [_markdown_text(head) for head in sheet.heads],
        ["---" if place < 2 else "---:" for place in range(len(sheet.heads))],
        *map(_MARKDOWN.cells, sheet.lines),
    ]
    body = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    notes = "".join(f"\n{_markdown_text(note)}\n" for note in sheet.notes)
    return f"**{_markdown_text(sheet.caption)}**\n\n{body}{notes}"


def latex(sheet: Sheet) -> str:
    """A table environment with a plain tabular; the notes are small and below."""
    rows = []
    for line in sheet.lines:
        rows += [r"\hline"] * line.first + [" & ".join(_LATEX.cells(line)) + r" \\"]
    return _TEX_TABLE.format(
        caption=_tex_text(sheet.caption),
        figures="r" * (len(sheet.heads) - 2),
        heads=" & ".join(map(_tex_text, sheet.heads)),
        rows="\n".join(rows),
        notes="".join(f"\\par\\footnotesize {_tex_text(note)}\n" for note in sheet.notes),
    )


def html(sheet: Sheet) -> str:
    """A table with its caption, its notes in the foot."""
    heads = "".join(f'<th scope="col" style="padding:2px 8px">{escape(head)}</th>' for head in sheet.heads)
    rows = "".join(map(_html_row, sheet.lines))
    notes = "".join(f'<tr><td colspan="{len(sheet.heads)}">{escape(note)}</td></tr>\n' for note in sheet.notes)
    return (
        '<table style="border-collapse:collapse">\n'
        f"<caption>{escape(sheet.caption)}</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n"
        f'<tfoot style="font-size:smaller">\n{notes}</tfoot>\n'
        "</table>\n"
    )


def _html_row(line: Line) -> str:
    model, method, *figures = _HTML.cells(line)
    names = "".join(f'<th scope="row" style="text-align:left">{name}</th>' for name in (model, method))
    cells = "".join(f'<td style="{_NUMBER}">{figure}</td>' for figure in figures)
    return f'<tr style="{_LINE if line.first else ""}">{names}{cells}</tr>\n'
