"""`open_list`: a dataset from a CSV or Parquet list of photographs and labels."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.byte_sources import LocalFile
from shapleycam.experiments.datasets.columns import label_column, path_column, refuse_repeated_columns
from shapleycam.experiments.datasets.csv_files import read_csv
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.experiments.datasets.labels import labels_of_cells, labels_of_text
from shapleycam.experiments.datasets.parquet_rows import PARQUET_ERRORS
from shapleycam.experiments.datasets.relative_names import relative_names
from shapleycam.printable import printable_name
from shapleycam.wording import on_one_line

SUFFIXES = (".csv", ".tsv", ".parquet")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def open_list(path: Path) -> FileDataset:
    """Return a dataset of the photographs in a list, in the order of the list.

    Paths are in a column `path` (or image, file, filename: `columns.PATH_COLUMNS`), relative to the list's folder. A
    missing file is detected when it is opened.

    Labels are in a column `label` (or class, target: `columns.LABEL_COLUMNS`), if there is one. If all cells are
    integers, labels are numbers; otherwise they are text. An empty cell is None.

    Raises:
        OptionError: the list cannot be read or is empty; there is no column of paths; a path is missing or listed
            twice; or the labels are neither integers nor text.
    """
    name = printable_name(str(path))
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
    cells, labels, place = read(name, path)
    if not cells:
        raise OptionError(f"{name}: the list has no rows; expected one for each photograph")
    folder = os.path.abspath(path.parent)  # noqa: PTH100  resolve() would follow links
    paths = [_absolute(name, folder, cell, place(row)) for row, cell in enumerate(cells)]
    _check_unique(name, paths, place)
    _check_encoding(name, cells, labels, paths, place)
    return FileDataset(
        origin=name,
        paths=tuple(paths),
        names=relative_names(paths, folder),
        labels=tuple(printable_name(label) if isinstance(label, str) else label for label in labels),
    )


_Columns = tuple[Sequence[Any], Sequence[Label], Callable[[int], str]]
"""The cells with paths, the labels, and a function that returns the name of a row from its number, starting at 0."""


def _read_csv(name: str, path: Path) -> _Columns:
    table = read_csv(path)
    refuse_repeated_columns(name, table.columns)
    paths = path_column(name, table.columns)
    labels = label_column(name, table.columns, paths)
    texts = [None] * len(table.rows) if labels is None else labels_of_text(name, labels, table.cells(labels))
    return table.cells(paths), texts, lambda row: f"line {table.lines[row]}"


def _read_parquet(name: str, path: Path) -> _Columns:
    """Return the columns of paths and labels of a Parquet list; other columns are not read, since they may be large."""
    try:
        with LocalFile(str(path)).open() as file:
            parquet = pq.ParquetFile(file)
            columns = parquet.schema_arrow.names
            refuse_repeated_columns(name, columns)
            paths = path_column(name, columns)
            labels = label_column(name, columns, paths)
            table = parquet.read(columns=[column for column in (paths, labels) if column is not None])
        values = [None] * len(table) if labels is None else labels_of_cells(name, labels, table[labels])
        return table[paths].to_pylist(), values, lambda row: f"row {row + 1}"
    except PARQUET_ERRORS as error:
        raise OptionError(
            f"{name}: cannot be read as a parquet list ({on_one_line(error)[:200]}); write it again"
        ) from error


def _absolute(name: str, folder: str, cell: object, place: str) -> str:
    """Return the absolute path for a cell, without "..".

    If no such file exists, spaces around the path are removed and backslashes, as on Windows, are replaced by slashes;
    this path is returned if its file exists.
    """
    if not isinstance(cell, str) or not cell.strip():
        raise OptionError(f"{name}: {place} has no path ({cell or None!r}); expected text in every row")
    if "\0" in cell:
        raise OptionError(f"{name}: {place} has a path with a NUL character; write the list again")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", cell):
        raise OptionError(
            f"{name}: {place} is the URL {printable_name(cell)[:200]}; expected paths of files: download them, or name "
            "photographs at URLs by a pattern such as s3://bucket/photos/*.jpg"
        )
    path = os.path.abspath(os.path.join(folder, cell))  # noqa: PTH100, PTH118
    if cell != cell.strip() or "\\" in cell:
        spelling = cell.strip().replace("\\", "/")
        other = os.path.abspath(os.path.join(folder, spelling))  # noqa: PTH100, PTH118
        if os.path.lexists(other) and not os.path.lexists(path):
            return other
    return path


def _check_unique(name: str, paths: Sequence[str], place: Callable[[int], str]) -> None:
    first: dict[str, int] = {}
    repeated = [(first[path], row) for row, path in enumerate(paths) if first.setdefault(path, row) != row]
    if repeated:
        others = f", and so are {len(repeated) - 1} others" if len(repeated) > 1 else ""
        where = f"{place(repeated[0][0])} and {place(repeated[0][1])}"
        raise OptionError(
            f"{name}: {printable_name(paths[repeated[0][1]])} is listed twice ({where}){others}; list each photograph "
            "once"
        )


def _check_encoding(
    name: str, cells: Sequence[str], labels: Sequence[Label], paths: Sequence[str], place: Callable[[int], str]
) -> None:
    """Refuse text that is not UTF-8, unless files with names of the same bytes exist.

    Raises:
        OptionError: the text has another encoding.
    """
    rows = [row for row, cell in enumerate(cells) if _NOT_UTF8.search(cell)]
    wrong = [(row, cells[row]) for row in rows if not os.path.lexists(paths[row])]
    if not rows:  # all paths are UTF-8, so no file shows that other bytes in labels are intended
        wrong = [(row, label) for row, label in enumerate(labels) if isinstance(label, str) and _NOT_UTF8.search(label)]
    if wrong:
        row, text = wrong[0]
        raise OptionError(
            f"{name}: {place(row)} is not UTF-8 ({printable_name(text)[:100]}), and no file has these bytes as its "
            "name; save the list as UTF-8"
        )
