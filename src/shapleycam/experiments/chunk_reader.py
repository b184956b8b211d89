"""`ChunkReader`: reads the chunks of a run, and verifies that each file is the chunk that the run wrote there."""

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
"""Number of threads that read chunks: enough to keep an object store busy, where each file is a request."""
_CHUNKS_PER_TASK = 16
"""Chunks that a thread reads in one task, because starting a task takes as long as reading a small file."""
_CHUNKS_PER_DECODING = 256
"""Chunks that are decoded together."""


class ChunkReader:
    """Reads the chunks of one run.

    Files of earlier versions have no identity. For these, only the models and images of their rows are verified, and
    one warning says so.

    Args:
        storage: the storage of the run.
        run: the identity of the run.
        has_identities: whether each chunk has an identity; False for a run of an earlier version.
    """

    def __init__(self, storage: Storage, run: str, *, has_identities: bool) -> None:
        self._storage, self._run, self._has_identities = storage, run, has_identities
        self._has_unverified = self._has_warned = False

    def read(self, model: str, chunks: Sequence[range]) -> Iterator[bytes]:
        """Yield the verified Parquet files of a model's chunks, read by several threads.

        Raises:
            OptionError: a file cannot be read, is damaged, is another chunk, or belongs to another run.
        """
        groups = [chunks[start : start + _CHUNKS_PER_TASK] for start in range(0, len(chunks), _CHUNKS_PER_TASK)]
        with ThreadPoolExecutor(_READERS) as pool:
            for contents in pool.map(lambda group: [self._read(model, chunk) for chunk in group], groups):
                yield from contents
        self._warn_of_unverified()

    def decode(self, model: str, chunks: Sequence[range], schema: pa.Schema, columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows of a model's chunks, in the order of `chunks`; other arguments as in `decode_chunks`.

        Raises:
            OptionError: as `read`, or a file has other columns than `schema`.
        """
        size = _CHUNKS_PER_DECODING
        batches = [chunks[start : start + size] for start in range(0, len(chunks), size)]
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
        except (OSError, ValueError, pa.ArrowException) as error:
            problem = f"damaged ({on_one_line(error)})"
        if problem:
            raise _refusal(file, problem)
        return content

    def _verify_rows(self, content: bytes, expected: ChunkIdentity) -> str | None:
        """Return the problem with a file that has no identity; None if its rows belong to the expected chunk."""
        if self._has_identities:
            return "damaged (it carries no identity, as every chunk of this run does)"
        # All columns are read to verify the checksums of their pages, because polars, which decodes, ignores them.
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        if problem := find_row_problem(table, expected):
            return f"not the chunk that belongs there ({problem})"
        self._has_unverified = True
        return None

    def _warn_of_unverified(self) -> None:
        """Warn once about chunks without identity; called outside of the reading threads."""
        if self._has_unverified and not self._has_warned:
            self._has_warned = True
            warn(
                OldRunWarning,
                f"{self._storage} has chunks of an earlier version, which do not say to which run they belong; only "
                "their models and images were verified",
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
