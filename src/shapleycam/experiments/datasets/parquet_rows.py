"""`read_cell`: reads single cells of Parquet files, with only a few rows in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from shapleycam.experiments.datasets.byte_sources import ByteSource

PARQUET_ERRORS = (OSError, pa.ArrowException, ValueError)
"""The errors of pyarrow for a damaged file; ValueError is for texts that are not UTF-8."""
_ROWS_AT_A_TIME = 16
_READ_AHEAD = 1 << 20


def read_cell(source: ByteSource, column: str, row: int) -> Any:
    """Return the value in a column of a Parquet file.

    If rows are requested in ascending order, each is read once. A request for an earlier row starts again at the first
    row of its row group.

    Raises:
        OSError: the file cannot be read, or has changed.
        pa.ArrowException or ValueError: the file is damaged.
    """
    # The signature is an argument, so that a changed file is not taken from the cache.
    return _reader(source, source.signature(), column, os.getpid()).cell(row)


def open_parquet_file(file: IO[bytes]) -> pq.ParquetFile:
    """Return an open Parquet file whose columns are read in small parts."""
    return pq.ParquetFile(file, buffer_size=_READ_AHEAD, pre_buffer=False)


class _ColumnReader:
    """Reads one column from first to last row; holds the open file and a few rows."""

    def __init__(self, source: ByteSource, column: str) -> None:
        self._file = open_parquet_file(source.open())
        self._column = column
        metadata = self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends = [sum(sizes[: group + 1]) for group in range(len(sizes))]
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._group = -1
        self._first = self._stop = 0
        self._values: pa.Array | None = None
        self._lock = Lock()

    def cell(self, row: int) -> Any:
        with self._lock:  # threads of a process share the reader
            return self._cell(row)

    def _cell(self, row: int) -> Any:
        group = next(group for group, end in enumerate(self._ends) if row < end)
        if group != self._group or row < self._first:
            self._batches = self._file.iter_batches(_ROWS_AT_A_TIME, row_groups=[group], columns=[self._column])
            self._group = group
            self._first = self._stop = self._ends[group - 1] if group else 0
        while row >= self._stop:
            self._values = next(self._batches).column(0)
            self._first, self._stop = self._stop, self._stop + len(self._values)
        return None if self._values is None else self._values[row - self._first].as_py()


@lru_cache(maxsize=4)
def _reader(source: ByteSource, signature: str, column: str, process: int) -> _ColumnReader:  # noqa: ARG001
    """Return the reader of a file from a cache, whose key has the process: forks must not share an open file."""
    return _ColumnReader(source, column)
