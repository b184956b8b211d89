"""`open_pictures`: a dataset from pictures in a column of Parquet files, as Hugging Face exports them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.byte_sources import ByteSource, reason_of
from shapleycam.experiments.datasets.columns import (
    PATH_COLUMNS,
    find_column,
    label_column,
    refuse_repeated_columns,
    warn_of_others,
)
from shapleycam.experiments.datasets.dataset import Dataset, Label, open_encoded_image
from shapleycam.experiments.datasets.described_classes import described_classes, name_labels
from shapleycam.experiments.datasets.labels import labels_of_cells
from shapleycam.experiments.datasets.parquet_rows import PARQUET_ERRORS, open_parquet_file, read_cell
from shapleycam.printable import printable_name
from shapleycam.wording import on_one_line

_SPLIT_PART = re.compile(r"(?P<split>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.parquet")


@dataclass(frozen=True, eq=False, repr=False)
class ParquetDataset(Dataset):
    """The rows of Parquet files; `ends` are the cumulative numbers of rows at the end of each file."""

    origin: str
    sources: Sequence[ByteSource]
    ends: Sequence[int]
    column: str
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def open(self, index: int) -> Image.Image:
        """Return the picture of a row.

        Raises:
            ImageError: the file cannot be read, or the row has no picture.
        """
        name = f"row {self.names[index]}"
        source, row = self._source_and_row(index)
        try:
            cell = read_cell(source, self.column, row)
        except OSError as error:
            raise ImageError(f"{name}: {source} cannot be read ({reason_of(error)}); check the file") from None
        except (*PARQUET_ERRORS, StopIteration) as error:
            raise ImageError(f"{name}: {source} is damaged ({on_one_line(error)[:200]}); get it again") from None
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if content is None:
            raise ImageError(f"{name}: no picture in column {self.column!r}; expected the bytes of one in every row")
        return open_encoded_image(content, name)

    def content_signature(self, index: int) -> str:
        """Return the row and the signature of its file; a picture's own bytes cannot be read without others."""
        source, row = self._source_and_row(index)
        return f"{row} of {source.signature()}"

    def _source_and_row(self, index: int) -> tuple[ByteSource, int]:
        """Return the file of an image, and its row in this file."""
        number = bisect_right(self.ends, index)
        return self.sources[number], index - (self.ends[number - 1] if number else 0)


def has_picture_column(source: ByteSource) -> bool:
    """Return whether a Parquet file has a column of pictures; otherwise it may be a list of paths.

    Raises:
        OptionError: the file cannot be read.
    """
    return bool(_picture_columns(_schema(source)))


def open_pictures(origin: str, sources: Sequence[ByteSource]) -> ParquetDataset:
    """Return a dataset of the pictures in Parquet files with the same columns, in the order of files and rows.

    - Pictures are in the column of type `struct<bytes, path>` or `binary`. If there are several, they are in the one
      called image, or another name in `columns.PATH_COLUMNS`.
    - Labels are in a column that Hugging Face's metadata describe as ClassLabel, with the names of its classes, or else
      in a column of `columns.LABEL_COLUMNS`.

    Raises:
        OptionError: a file cannot be read or has other columns, or there is no column of pictures that can be
            identified.
    """
    schema = _schema(sources[0])
    refuse_repeated_columns(origin, schema.names)
    column = _picture_column(origin, schema)
    described = described_classes(schema)
    label = next(iter(described), None) or label_column(
        origin, [name for name in schema.names if name not in _picture_columns(schema)], column
    )
    if label in described:
        warn_of_others(origin, label, list(described), "labels")
    names = described.get(label or "")
    labels: list[Label] = []
    ends: list[int] = []
    for source in sources:
        count, cells = _read_labels(origin, source, schema, label)
        labels += name_labels(origin, cells, names)
        ends.append((ends[-1] if ends else 0) + count)
    if not ends[-1]:
        raise OptionError(f"{origin}: no rows; expected one for each picture")
    rows = tuple(f"{index:08d}" for index in range(ends[-1]))
    return ParquetDataset(printable_name(origin), tuple(sources), tuple(ends), column, rows, tuple(labels), names)


def check_split(origin: str, names: Sequence[str]) -> None:
    """Refuse the files of a folder if they belong to several splits, or if files of a split are missing.

    Raises:
        OptionError: one of these is the case.
    """
    parts = [match for match in map(_SPLIT_PART.fullmatch, names) if match is not None]
    splits = sorted({part["split"] for part in parts})
    if len(splits) > 1:
        raise OptionError(
            f"{origin}: the files are of the splits {', '.join(splits)}; name those of one, as "
            f"'{origin}/{splits[0]}-*.parquet'"
        )
    total = int(parts[0]["count"]) if parts else 0
    if len(parts) < total:
        raise OptionError(
            f"{origin}: {len(parts)} of the {total} files of {splits[0]} are there; get the others, or name these by "
            f"the pattern '{origin}/{splits[0]}-*.parquet'"
        )


def _schema(source: ByteSource) -> pa.Schema:
    try:
        with source.open() as file:
            return open_parquet_file(file).schema_arrow
    except PARQUET_ERRORS as error:
        raise _unreadable(source, error) from None


def _unreadable(source: ByteSource, error: Exception) -> OptionError:
    return OptionError(
        f"{printable_name(str(source))}: cannot be read as a parquet file ({on_one_line(error)[:200]}); get it again"
    )


def _picture_columns(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if _holds_bytes(field.type)]


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _picture_column(origin: str, schema: pa.Schema) -> str:
    columns = _picture_columns(schema)
    usual = find_column(columns, PATH_COLUMNS)
    if len(columns) != 1 and usual is None:
        known = ", ".join(columns) or f"none among {', '.join(schema.names)}"
        raise OptionError(f"{origin}: columns of pictures: {known}; expected one, or one called image")
    return usual or columns[0]


def _read_labels(origin: str, source: ByteSource, schema: pa.Schema, label: str | None) -> tuple[int, list[Label]]:
    """Return the number of rows of a file, and their labels; only the column of labels is read."""
    try:
        with source.open() as file:
            parquet = open_parquet_file(file)
            count: int = parquet.metadata.num_rows
            if parquet.schema_arrow.names != schema.names:
                raise OptionError(
                    f"{source}: the columns are {', '.join(parquet.schema_arrow.names)}, and {', '.join(schema.names)} "
                    "in the first file; expected the same in all"
                )
            if label is None:
                return count, [None] * count
            return count, labels_of_cells(origin, label, parquet.read(columns=[label])[label])
    except PARQUET_ERRORS as error:
        raise _unreadable(source, error) from None
