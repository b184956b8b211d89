"""What the site shows beyond the pages of docs/: the benchmarks' results, typeset formulas, and notebooks' outputs."""
# ruff: noqa: INP001  # mkdocs loads this file by its path

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from math_core import LatexError, LatexToMathML
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from shapleycam.html import scoped_style

ROOT = Path(__file__).parents[1]
RESULTS_LINK, MEASUREMENTS_LINK = "](../bench/results/", "](measurements/"
"""How a page links to a result so that it works on GitHub, and where the site has it."""
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
"""A formula as pymdownx.arithmatex leaves it for a script in the browser: `(` is in a line, `[` stands by itself."""

NOTEBOOK, NOTEBOOK_OUTPUT = ".shapleycam", '<div class="shapleycam">'
"""What an explanation shows in a notebook; bench/notebooks.py leaves out the style sheet that each output carries."""


def on_files(files: Files, config: Any) -> Files:
    """Add what the benchmarks last printed and drew."""
    for result in sorted((ROOT / "bench/results").iterdir()):
        if result.suffix in {".md", ".png"}:
            files.append(File.generated(config, f"measurements/{result.name}", abs_src_path=str(result)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to the results to their pages of the site."""
    return markdown.replace(RESULTS_LINK, MEASUREMENTS_LINK)


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Typeset the formulas as MathML, which needs no script, and give the outputs of notebooks their style sheet.

    Raises:
        PluginError: a formula is not LaTeX that can be typeset; the message has the page, the formula and the place.
    """
    converter = LatexToMathML()

    def typeset(match: re.Match[str]) -> str:
        tag, delimiter, formula = match[1], match[2], html.unescape(match[3]).strip()
        try:
            mathml = converter.convert_with_local_state(formula, displaystyle=delimiter == "[")
        except LatexError as error:
            raise PluginError(f"{page.file.src_uri}: the formula {formula!r} cannot be typeset: {error}") from error
        return f'<{tag} class="formula">{mathml}</{tag}>'

    style = f"<style>{scoped_style(NOTEBOOK)}</style>" if NOTEBOOK_OUTPUT in content else ""
    return style + FORMULA.sub(typeset, content)
