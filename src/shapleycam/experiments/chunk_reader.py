"""Read the chunks of a run, and verify that each file is the one that the run wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shapleycam.errors import OldRunWarning, OptionError, warn
from shapleycam.experiments.chunk_files import path_of
from shapleycam.experiments.chunk_identity import ChunkIdentity, describe, find_row_problem, read_identity
from shapleycam.experiments.chunk_rows import DECODING_ERRORS, decode_chunks
from shapleycam.experiments.storage import Storage
from shapleycam.wording import on_one_line

_READERS = 8
"""Number of threads that read chunks; an object store takes one request for each file."""
_READ_IN_TURN = 16
"""Chunks in one task of a thread, since to submit a task takes as long as to read a small file."""
_DECODED = 256
"""Chunks that are decoded together."""


class ChunkReader:
    """Reads the chunks of one run.

    Files of earlier versions have no identity. Their rows must belong to the model and the images of the chunk, and one
    warning says that nothing else could be verified.

    Args:
        storage: the storage of the run.
        run: the run's identity.
        has_identities: whether its chunks have identities; those of earlier versions do not.
    """

    def __init__(self, storage: Storage, run: str, *, has_identities: bool) -> None:
        self._storage, self._run, self._has_identities = storage, run, has_identities
        self._has_unverified = self._has_warned = False

    def read(self, model: str, chunks: Sequence[range]) -> Iterator[bytes]:
        """Yield the verified Parquet files of chunks of a model, read by several threads.

        Raises:
            OptionError: a file cannot be read or is damaged, or belongs to another chunk or another run.
        """
        groups = [chunks[start : start + _READ_IN_TURN] for start in range(0, len(chunks), _READ_IN_TURN)]
        with ThreadPoolExecutor(_READERS) as pool:
            for contents in pool.map(lambda group: [self._read(model, chunk) for chunk in group], groups):
                yield from contents
        self._warn_of_unverified()

    def decode(self, model: str, chunks: Sequence[range], schema: pa.Schema, columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows of chunks of a model, one chunk after the other; arguments as in `decode_chunks`.

        Raises:
            OptionError: as `read`, or a file has other columns.
        """
        batches = [chunks[start : start + _DECODED] for start in range(0, len(chunks), _DECODED)]
        frames = [self._decode(model, batch, schema, columns) for batch in batches]
        return pl.concat([decode_chunks([], schema, columns), *frames])

    def _decode(self, model: str, chunks: Sequence[range], schema: pa.Schema, columns: Sequence[str]) -> pl.DataFrame:
        contents = list(self.read(model, chunks))
        try:
            return decode_chunks(contents, schema, columns)
        except DECODING_ERRORS:
            for chunk, content in zip(chunks, contents, strict=True):
                self._refuse_undecodable(path_of(model, chunk), content, schema, columns)
            raise

    def _refuse_undecodable(self, file: str, content: bytes, schema: pa.Schema, columns: Sequence[str]) -> None:
        try:
            decode_chunks([content], schema, columns)
        except DECODING_ERRORS as error:
            raise _refusal(f"{self._storage}/{file}", f"damaged ({on_one_line(error)})") from None

    def _read(self, model: str, chunk: range) -> bytes:
        """Return one verified file."""
        file, expected = f"{self._storage}/{path_of(model, chunk)}", ChunkIdentity(self._run, model, chunk)
        try:
            content = self._storage.read(path_of(model, chunk))
        except OSError as error:
            reason = error.strerror or on_one_line(error)
            raise OptionError(f"{file}: cannot be read ({reason}); check that it is there and may be read") from None
        try:
            identity = read_identity(content)
            problem = self._verify_rows(content, expected) if identity is None else _find_difference(identity, expected)
        except (OSError, ValueError, pa.ArrowException) as error:  # of pyarrow
            problem = f"damaged ({on_one_line(error)})"
        if problem:
            raise _refusal(file, problem)
        return content

    def _verify_rows(self, content: bytes, expected: ChunkIdentity) -> str | None:
        """Return the problem of a file without an identity; None if no problem is found."""
        if self._has_identities:
            return "damaged (it carries no identity, as every chunk of this run does)"
        # Read all columns to verify the checksums of their pages, which `decode_chunks` does not check.
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        if problem := find_row_problem(table, expected):
            return f"not the chunk that belongs there ({problem})"
        self._has_unverified = True
        return None

    def _warn_of_unverified(self) -> None:
        """Warn once of chunks without an identity; this is not called in the reading threads."""
        if self._has_unverified and not self._has_warned:
            self._has_warned = True
            warn(
                OldRunWarning,
                f"{self._storage} has chunks of an earlier version, which do not say of which run they are: that they "
                "belong to it was verified by their models and images alone",
            )


def _find_difference(identity: ChunkIdentity, expected: ChunkIdentity) -> str | None:
    """Return why a chunk is not the expected one; None if it is."""
    if identity == expected:
        return None
    if identity.run != expected.run:
        return f"not of this run (it is a chunk of another run, {describe(identity)})"
    return f"not the chunk that belongs there (it is that of {describe(identity)})"


def _refusal(file: str, problem: str) -> OptionError:
    return OptionError(f"{file}: {problem}; delete it and evaluate again, which makes it anew")
