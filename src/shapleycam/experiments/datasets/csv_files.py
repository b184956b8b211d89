"""`read_csv`: reads CSV files with any common separator, byte order marks, quotes and several encodings."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.byte_sources import LocalFile, reason_of
from shapleycam.experiments.datasets.columns import PATH_COLUMNS, find_column
from shapleycam.printable import printable_name
from shapleycam.wording import on_one_line

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SEPARATORS = (",", ";", "\t", "|")
_DECLARATION = "sep="
"""The start of a first line that declares the separator, as for Excel."""


@dataclass(frozen=True)
class CsvTable:
    """The cells of a CSV file as text.

    A byte that is not UTF-8 is represented by a surrogate, as in Python's file names.

    Attributes:
        columns: the names of the columns.
        rows: the cells of each row.
        lines: the number of each row's last line in the file.
    """

    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def cells(self, column: str) -> list[str]:
        """Return the cells of a column."""
        position = self.columns.index(column)
        return [row[position] for row in self.rows]


def read_csv(path: Path) -> CsvTable:
    """Return the content of a CSV file whose first line has the names of the columns; empty lines are ignored.

    The separator is `,`, `;`, tab or `|`: the first of these with which the first line has a column of paths. The text
    is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        OptionError: the file cannot be read or is empty, or a row does not have as many cells as the first line.
    """
    name = printable_name(str(path))
    text = _decode(name, _content(name, path))
    separator = None
    first, _, rest = text.partition("\n")
    if first.lower().startswith(_DECLARATION):
        separator, text = first.strip("\r")[len(_DECLARATION) :], rest
    skipped = 0 if separator is None else 1
    if not text.strip():
        raise OptionError(f"{name}: the list is empty; expected a line of column names and a row for each photograph")
    if separator not in _SEPARATORS:
        separator = _find_separator(text, path.suffix)
    return _read_rows(name, text, separator, skipped)


def _content(name: str, path: Path) -> bytes:
    try:
        with LocalFile(str(path)).open() as file:
            return file.read()
    except OSError as error:
        raise OptionError(f"{name}: cannot be read ({reason_of(error)}); check the path and its permissions") from None


def _decode(name: str, content: bytes) -> str:
    """Return the text of a file, with surrogates for bytes that are not UTF-8."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content[len(mark) :].decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
            except UnicodeDecodeError as error:
                raise OptionError(
                    f"{name}: not the {encoding} that its first bytes say ({error}); save it as UTF-8"
                ) from None
    return content.decode("utf-8", "surrogateescape")


def _find_separator(text: str, suffix: str) -> str:
    """Return the separator with which the first line has a column of paths; a comma (or tab for .tsv) if none has."""
    usual = ("\t", *_SEPARATORS) if suffix.lower() == ".tsv" else _SEPARATORS
    for separator in usual:
        try:
            columns = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True))
        except (csv.Error, StopIteration):
            continue
        if find_column([column.strip() for column in columns], PATH_COLUMNS) is not None:
            return separator
    return usual[0]


def _read_rows(name: str, text: str, separator: str, skipped: int) -> CsvTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    columns: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            line = reader.line_num + skipped
            if not columns:
                columns = [cell.strip() for cell in row]
                continue
            rows.append(_fitted(name, row, columns, line))
            lines.append(line)
    except csv.Error as error:
        raise OptionError(
            f"{name}: line {reader.line_num + skipped} cannot be read as CSV ({on_one_line(error)}); correct it"
        ) from None
    return CsvTable(columns, rows, lines)


def _fitted(name: str, row: list[str], columns: Sequence[str], line: int) -> list[str]:
    """Return a row with one cell for each column; additional empty cells at its end are removed.

    Raises:
        OptionError: the row has more or fewer cells.
    """
    extra = row[len(columns) :]
    if len(row) < len(columns) or any(cell.strip() for cell in extra):
        raise OptionError(
            f"{name}: line {line} has {len(row)} cells, and the first line {len(columns)}; put cells that hold a "
            "separator into quotes, and write one for each column"
        )
    return row[: len(columns)]
