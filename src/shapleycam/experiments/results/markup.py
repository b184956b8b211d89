"""Conversion of a `TextTable` to Markdown, LaTeX or HTML; special characters in names are escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from shapleycam.experiments.results.text_tables import TableEntry, TableRow, TextTable
from shapleycam.html import template_environment

_TEMPLATES = template_environment("shapleycam.experiments.results")

_LATEX_CHARACTERS = {
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
_LATEX_TABLE = r"""\begin{{table}}
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


@dataclass(frozen=True)
class _Language:
    """How a language writes text, the best and the second best figure, and the mark of a significant lead."""

    escape: Callable[[str], str]
    best: str
    second: str
    mark: str
    minus: str = "-"

    def entry(self, entry: TableEntry) -> str:
        """Return a figure as text in the language."""
        form = self.best if entry.best else self.second if entry.second else "%s"
        return form % self.escape(entry.text.replace("-", self.minus)) + self.mark * entry.marked

    def cells(self, row: TableRow) -> list[str]:
        """Return the cells of a row: network (in the first of its rows only), method and figures."""
        names = [self.escape(row.model if row.first else ""), self.escape(row.method)]
        return [*names, *map(self.entry, row.entries)]


def _escape_latex(text: str) -> str:
    return "".join(_LATEX_CHARACTERS.get(character, character) for character in text)


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_MARKDOWN = _Language(_escape_markdown, "**%s**", "<ins>%s</ins>", r"\*")
_LATEX = _Language(_escape_latex, r"\textbf{%s}", r"\underline{%s}", "$^{*}$", minus="\u2212")


def markdown_of(table: TextTable) -> str:
    """Return Markdown: a bold caption, the table, and a paragraph for each note."""
    rows = [
        [_escape_markdown(head) for head in table.heads],
        ["---" if index < 2 else "---:" for index in range(len(table.heads))],
        *map(_MARKDOWN.cells, table.rows),
    ]
    body = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    notes = "".join(f"\n{_escape_markdown(note)}\n" for note in table.notes)
    return f"**{_escape_markdown(table.caption)}**\n\n{body}{notes}"


def latex_of(table: TextTable) -> str:
    """Return a LaTeX table environment with a tabular, and small notes below."""
    rows = []
    for row in table.rows:
        rows += [r"\hline"] * row.first + [" & ".join(_LATEX.cells(row)) + r" \\"]
    return _LATEX_TABLE.format(
        caption=_escape_latex(table.caption),
        figures="r" * (len(table.heads) - 2),
        heads=" & ".join(map(_escape_latex, table.heads)),
        rows="\n".join(rows),
        notes="".join(f"\\par\\footnotesize {_escape_latex(note)}\n" for note in table.notes),
    )


def html_of(table: TextTable) -> str:
    """Return an HTML table with its caption, and its notes in the foot."""
    return _TEMPLATES.get_template("table.html").render(table=table) + "\n"
