"""Tables that fit a terminal: what may be broken is, and what may not is whole."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from shapleycam.terminal_tables import Head, build_table

HEADS = [Head("method"), Head("mean of all images", "number"), Head("what it is", "text")]
ROWS = [
    ["sampledshapley", "12.34 ± 5.67 (-0.50)", "values that are sampled over random orders of the players"],
    ["[red]x", "1.00", "short"],
]


def printed(width: int | None, **options: bool) -> list[str] | None:
    """Return the lines of the table, None where it does not fit."""
    table = build_table(HEADS, [[Text(cell) for cell in row] for row in ROWS], width, **options)
    if table is None:
        return None
    console = Console(width=width or 1000, file=StringIO(), color_system=None)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_without_a_width_each_row_is_one_line():
    head, *rows = printed(None)
    assert head.split("  ")[0] == "method"
    assert [" ".join(row.split()) for row in rows] == [" ".join(row) for row in ROWS]


@pytest.mark.parametrize("width", range(20, 110))
def test_lines_fit_and_names_and_numbers_are_whole(width):
    lines = printed(width)
    if lines is None:
        # The least: the longest name, ±5.67 and images, the longest word; two blanks between columns
        assert width < 14 + 2 + 7 + 2 + 16
        return
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for whole in ("sampledshapley", "[red]x", "12.34", "5.67", "(-0.50)", "1.00"):
        assert whole in text
    words = text.split()
    assert all(word in words for word in ROWS[0][2].split())


def test_numbers_are_broken_only_where_that_is_needed_and_asked_for():
    assert any("12.34 ± 5.67 (-0.50)" in line for line in printed(60))
    assert any(line.split()[:2] == ["sampledshapley", "12.34"] for line in printed(45))
    assert printed(45, break_numbers=False) is None


def test_a_wider_terminal_gives_the_text_its_room():
    assert [len(printed(width)) for width in (45, 80, 110)] == sorted(
        (len(printed(width)) for width in (45, 80, 110)), reverse=True
    )
    assert len(printed(110)) == 3
