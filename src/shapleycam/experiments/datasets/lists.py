"""A CSV or Parquet list of photographs and their labels."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.wording import on_one_line

SUFFIXES = (".csv", ".tsv", ".parquet")
_PATHS = ("path", "image", "file", "filename")
_LABELS = ("label", "class", "target")
_NUMBER = re.compile(r"0|-?[1-9][0-9]*")


def open_list(path: Path) -> FileDataset:
    """Open the photographs of a list, in its order.

    Paths are in a column `path` (or image, file, filename), relative to the list's folder.

    Labels are in a column `label` (or class, target), if there is one: numbers where all are whole numbers, otherwise
    text; an empty cell is None. A missing file is noticed when it is opened.

    Raises:
        OptionError: the list cannot be read or is empty, there is no such column, a path is missing or listed twice, or
            the labels are neither whole numbers nor text.
    """
    table = _read_table(path)
    column = next((name for name in _PATHS if name in table.columns), None)
    if column is None:
        names = ", ".join(table.columns) or "none"
        raise OptionError(f"{path}: the columns are {names}; expected one called path (or image, file, filename)")
    if table.is_empty():
        raise OptionError(f"{path}: the list has no rows; expected one for each photograph")
    paths = [_absolute(path, cell, row) for row, cell in enumerate(table[column].to_list(), start=1)]
    _check_unique(path, paths)
    labels = next((_labels(path, table[name]) for name in _LABELS if name in table.columns), [None] * len(paths))
    return FileDataset(str(path), tuple(map(Path, paths)), tuple(_names(path, paths)), tuple(labels))


def _read_table(path: Path) -> pl.DataFrame:
    try:
        content = io.BytesIO(path.read_bytes())  # from a path polars would expand * and [
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(content)
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        return pl.read_csv(content, separator=separator, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise OptionError(f"{path}: the list is empty; expected a line of column names and a row for each") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = on_one_line(error)[:200]
        raise OptionError(f"{path}: cannot be read as a {path.suffix[1:]} list ({reason}); write it again") from error


def _absolute(path: Path, cell: object, row: int) -> str:
    """Return a listed path as an absolute one, without ".." in it."""
    if not isinstance(cell, str) or not cell:
        raise OptionError(f"{path}: row {row} has no path ({cell!r}); expected text in every row")
    return os.path.abspath(path.parent / cell)  # noqa: PTH100  resolve() would follow links


def _check_unique(path: Path, paths: Iterable[str]) -> None:
    repeated = [name for name, times in Counter(paths).items() if times > 1]
    if repeated:
        others = f", and so are {len(repeated) - 1} others" if len(repeated) > 1 else ""
        raise OptionError(f"{path}: {repeated[0]} is listed twice{others}; list each photograph once")


def _names(path: Path, paths: Sequence[str]) -> Iterable[str]:
    """Return names relative to the list's folder; where a file lies elsewhere, to the folder common to all."""
    common = os.path.abspath(path.parent)  # noqa: PTH100
    if os.path.commonpath([common, *paths]) != common:
        common = os.path.commonpath([str(Path(name).parent) for name in paths])
    return (Path(name).relative_to(common).as_posix() for name in paths)


def _labels(path: Path, column: pl.Series) -> Sequence[Label]:
    cells = [None if cell == "" else cell for cell in column.to_list()]
    known = [cell for cell in cells if cell is not None]
    if path.suffix.lower() != ".parquet" and all(_NUMBER.fullmatch(cell) for cell in known):
        return [None if cell is None else int(cell) for cell in cells]
    if column.dtype.is_float() and all(cell.is_integer() for cell in known):  # numbers with gaps, as pandas writes them
        return [None if cell is None else int(cell) for cell in cells]
    if column.dtype.is_integer() or all(isinstance(cell, str) for cell in known):
        return cells
    raise OptionError(
        f"{path}: the labels in column {column.name!r} are {column.dtype}; expected whole numbers or text"
    )
