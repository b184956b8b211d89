"""Help texts of commands, from their docstrings: paragraphs, and lists whose items are wrapped with an indent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap

_POINT = "- "
WIDEST = 100
"""Largest width of the help in characters, on a wider terminal."""


def help_lines(text: str, width: int) -> list[str]:
    r"""Return a docstring as lines of at most `width` characters, without backticks.

    Examples:
        >>> help_lines("Explain.\n\n- `shapleycam explain` explains a photograph.\n- `web` serves.", 34)
        ['Explain.', '', '- shapleycam explain explains a', '  photograph.', '- web serves.']
    """
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.replace("`", "").strip()):
        if lines:
            lines.append("")
        for part in _parts(paragraph.splitlines()):
            hanging = "  " if part.startswith(_POINT) else ""
            lines += wrap(part, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
    return lines


def first_sentence(text: str) -> str:
    """Return the first sentence of a command's help, for the list of commands."""
    return help_lines(text, 10_000)[0]


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """Yield the items if the lines are a list, else the lines as one paragraph."""
    part = ""
    for line in map(str.strip, lines):
        if line.startswith(_POINT) and part:
            yield part
            part = line
        else:
            part = f"{part} {line}" if part else line
    yield part
