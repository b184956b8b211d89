"""The help of commands, from their docstrings: paragraphs, and lists whose points are wrapped under each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import wrap

_POINT = "- "
WIDEST = 100
"""Columns of the help at most, on a terminal that has more."""


def help_lines(text: str, width: int) -> list[str]:
    r"""Return a docstring as lines of at most `width` columns, without the marks of code.

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
    """Return what a command does, for the list of commands."""
    return help_lines(text, 10_000)[0]


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """Yield the points of a list, or the one paragraph that the lines are."""
    part = ""
    for line in map(str.strip, lines):
        if line.startswith(_POINT) and part:
            yield part
            part = line
        else:
            part = f"{part} {line}" if part else line
    yield part
