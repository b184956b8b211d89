"""Conversion of the cells of a table's column to labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.printable import printable_name

_DIGITS = "[1-9][0-9]{0,17}"
"""At most 18 digits: longer numbers are not class numbers, and may not fit into 64 bits."""
_WHOLE = re.compile(rf"(?P<number>0|-?{_DIGITS})(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
_PADDED = re.compile(r"[0-9]{1,18}")
_GAPS = frozenset({"nan", "na", "n/a", "<na>", "null", "none"})
"""Texts for a missing number, in lower case."""


def labels_of_text(table: str, column: str, cells: Sequence[str]) -> list[Label]:
    """Return the labels in a column of text.

    If all cells are integers, labels are numbers; otherwise they are text. Integers may be written as by pandas for a
    column with missing values ("1.0", "nan"). An empty cell is None.

    Raises:
        OptionError: all cells are numbers, but some are not integers or have more than 18 digits.

    Examples:
        >>> labels_of_text("list.csv", "label", ["1.0", "", "3.0"]), labels_of_text("list.csv", "label", ["cat", "3"])
        ([1, None, 3], ['cat', '3'])
    """
    stripped = [cell.strip() for cell in cells]
    known = {cell for cell in stripped if cell}
    numbers = {cell for cell in known if cell.casefold() not in _GAPS}
    if not numbers:
        return [cell if cell and cell.casefold() not in _GAPS else None for cell in stripped]
    matches = {cell: _WHOLE.fullmatch(cell) for cell in numbers}
    if all(matches.values()):
        values = {cell: int(match["number"]) for cell, match in matches.items() if match is not None}
        return [values.get(cell) for cell in stripped]
    if all(_NUMBER.fullmatch(cell) for cell in numbers):
        odd = sorted(cell for cell in numbers if not matches[cell] and not _PADDED.fullmatch(cell))
        if odd:
            raise _not_whole(table, column, odd[0])
    return [cell or None for cell in stripped]


def labels_of_cells(table: str, column: str, cells: pa.ChunkedArray) -> list[Label]:
    """Return the labels in a column of a Parquet file, which has integers, floats that are integers or NaN, or text.

    Raises:
        OptionError: the column has other values.
    """
    # A column of categories in pandas is a dictionary in Parquet.
    values = cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells
    return [_label_of_value(table, column, value, cells.type) for value in values.to_pylist()]


def _label_of_value(table: str, column: str, value: Any, kind: pa.DataType) -> Label:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  NaN is not equal to itself
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(
            f"{table}: the labels in column {printable_name(column)!r} are {kind}; expected whole numbers or text"
        )
    if abs(value) >= 10**18:
        raise _not_whole(table, column, str(value))
    return value


def _not_whole(table: str, column: str, cell: str) -> OptionError:
    return OptionError(
        f"{table}: column {printable_name(column)!r} holds the label {cell[:40]}; expected whole numbers of at most 18 "
        "digits, or names"
    )
