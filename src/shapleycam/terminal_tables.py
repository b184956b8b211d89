"""Tables that fit a terminal's width: names and numbers are never cut, and text wraps at words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

Kind: TypeAlias = Literal["name", "number", "text"]
_GAP = 2
_NARROWEST_TEXT = 16
"""Least width of a text column, unless its text is shorter."""


@dataclass(frozen=True)
class Head:
    """The head of a column, and the kind of its cells.

    Attributes:
        text: the head.
        kind: a "name" is never broken; a "number" may be broken before ± and brackets; a "text" wraps at words.
    """

    text: str
    kind: Kind = "name"


def build_table(
    heads: Sequence[Head], rows: Sequence[Sequence[Text]], width: int | None = None, *, break_numbers: bool = True
) -> Table | None:
    """Return a table of at most `width` characters, or None if it does not fit; `width=None` means unlimited.

    With `break_numbers`, numbers are broken before ± and brackets if the table does not fit otherwise.

    Examples:
        >>> from rich.text import Text
        >>> from shapleycam.terminal_tables import Head, build_table
        >>> heads, row = [Head("method"), Head("source", "text")], [Text("gradcam"), Text("Selvaraju 2017")]
        >>> build_table(heads, [row], width=80).row_count, build_table(heads, [row], width=10)
        (1, None)
    """
    broken = [
        [_break(cell) if head.kind == "number" else cell for head, cell in zip(heads, row, strict=True)] for row in rows
    ]
    forms = [(rows, True), (rows, False), *([(broken, False)] if break_numbers else [])]
    for cells, whole_heads in forms:
        columns = [
            _Column.of(head, [row[place] for row in cells], whole_heads=whole_heads) for place, head in enumerate(heads)
        ]
        spare = 0 if width is None else width - sum(column.least for column in columns) - _GAP * (len(heads) - 1)
        if spare >= 0:
            return _table(heads, cells, _distribute(columns, spare))
    return None


@dataclass
class _Column:
    """The least and the greatest useful width of a column, in characters."""

    least: int
    most: int

    @classmethod
    def of(cls, head: Head, cells: Sequence[Text], *, whole_heads: bool) -> _Column:
        """Return the widths of a column; with `whole_heads` neither its head nor its text may wrap."""
        natural = max((cell_len(line) for cell in cells for line in cell.plain.split("\n")), default=0)
        whole = max(natural, cell_len(head.text))
        longest_word = max(map(cell_len, head.text.split()), default=0)
        if whole_heads:
            return cls(whole, whole)
        if head.kind == "text":
            words = (word for cell in cells for word in cell.plain.split())
            return cls(max([longest_word, min(natural, _NARROWEST_TEXT), *map(cell_len, words)]), whole)
        return cls(max(natural, longest_word), max(natural, longest_word))


def _distribute(columns: Sequence[_Column], spare: int) -> list[int]:
    """Return the width of each column: its least width, plus spare width for the columns that lack most."""
    widths = [column.least for column in columns]
    for _ in range(spare):
        need, place = max((column.most - widths[place], -place) for place, column in enumerate(columns))
        if need <= 0:
            break
        widths[-place] += 1
    return widths


def _break(cell: Text) -> Text:
    """Return a number that is broken into lines before ± and brackets."""
    return Text(cell.plain.replace(" ± ", "\n±").replace(" (", "\n("), style=cell.style)


def _table(heads: Sequence[Head], rows: Sequence[Sequence[Text]], widths: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for head, width in zip(heads, widths, strict=True):
        table.add_column(Text(head.text), justify="right" if head.kind == "number" else "left", width=width)
    for row in rows:
        table.add_row(*row)
    return table
