"""The results of a run, written in chunks of images that are whole or absent.

A folder (or a URL) holds `manifest.json`, which says what is measured and how, and `parts/MODEL/FIRST-LAST.parquet`,
a file for each chunk. What has a file is done, so that a run that was stopped at any moment goes on without a list of
what it did, and no row is there twice.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shapleycam.errors import OldRunWarning, OptionError, warn
from shapleycam.experiments.chunk_files import chunks_of, file_name, list_chunk_files, path_of
from shapleycam.experiments.chunk_identity import (
    ChunkIdentity,
    describe,
    encode_chunk,
    find_row_problem,
    read_identity,
)
from shapleycam.experiments.chunk_rows import DECODING_ERRORS, decode_chunks
from shapleycam.experiments.manifest import (
    FORMAT_WITHOUT_IDENTITY,
    MANIFEST_FILE,
    has_manifest,
    read_manifest,
    run_identity,
)
from shapleycam.experiments.rows import schema_for
from shapleycam.experiments.storage import Location, open_storage
from shapleycam.wording import on_one_line

_READERS = 8
"""Threads that read chunks: enough to keep an object store busy, where each file is a request."""
_READ_IN_TURN = 16
"""Chunks that a thread reads one after the other, since handing it a task takes as long as reading a small file."""
_DECODED = 256
"""Chunks that are decoded together."""


class Store:
    """The results of one run, in a folder or at a URL.

    `manifest` says what was measured. Only the process that measures needs the lock (`open_run`); readers need none.

    Args:
        location: a path, a URL such as s3://bucket/run, or a storage.

    Raises:
        OptionError: there are no results, or a newer version of the package wrote them.

    Examples:
        >>> import tempfile
        >>> from matplotlib.cbook import get_sample_data
        >>> from torch import nn
        >>> from shapleycam import Network, Preprocess
        >>> from shapleycam.experiments import Protocol, RunSettings, Store, evaluate
        >>> head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        >>> preprocess = Preprocess(32, (32, 32), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 4, 3, 4), head).eval(), preprocess, name="small")
        >>> protocol = Protocol(methods="gradcam", metrics="complexity")
        >>> photograph = get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = evaluate(network, photograph, folder, protocol, settings=RunSettings(workers=0))
        ...     rows = Store(folder).rows()
        >>> rows["method"].to_list(), rows["status"].to_list()
        (['gradcam'], ['ok'])
    """

    def __init__(self, location: Location) -> None:
        self.storage = open_storage(location)
        self.manifest = read_manifest(self.storage)
        self._machine = platform.node()
        self._has_unverified = self._has_warned = False

    @property
    def images(self) -> int:
        """Return how many images the dataset of the run has."""
        return int(self.manifest["dataset"]["images"])

    def chunks(self) -> list[range]:
        """Return the images of each chunk, by their positions in the dataset."""
        return chunks_of(self.manifest)

    def measured(self, model: str) -> list[range]:
        """Return the chunks that are measured for a model.

        Raises:
            OptionError: a file is there that is no chunk of the run.
        """
        files = self._files_of(model)
        return [chunk for chunk in self.chunks() if file_name(chunk) in files]

    def pending(self, model: str) -> list[range]:
        """Return the chunks that are not measured yet for a model.

        Raises:
            OptionError: a file is there that is no chunk of the run.
        """
        files = self._files_of(model)
        return [chunk for chunk in self.chunks() if file_name(chunk) not in files]

    def write(self, model: str, chunk: range, table: pa.Table) -> None:
        """Write the rows of a chunk, whole or not at all, with the identity of the chunk.

        Raises:
            OptionError: the run is not there any more, the disk is full, or the storage cannot be written any more.
            ValueError: the rows are not those of the chunk.
        """
        self.refuse_lost_run()
        content = encode_chunk(table, self._identity_of(model, chunk))
        self.storage.write(path_of(model, chunk), lambda file: file.write(content))

    def read_chunk(self, model: str, chunk: range) -> bytes:
        """Return the Parquet file of a chunk, of which it is verified that it is the one that the run wrote there.

        Files of earlier versions carry no identity. Their rows are read, and must be of the model and the images of the
        chunk; one warning says that more could not be verified.

        Raises:
            OptionError: the file cannot be read, is damaged, or is another chunk or of another run.
        """
        content = self._read(model, chunk)
        self._warn_of_unverified()
        return content

    def _read(self, model: str, chunk: range) -> bytes:
        file, expected = f"{self.storage}/{path_of(model, chunk)}", self._identity_of(model, chunk)
        try:
            content = self.storage.read(path_of(model, chunk))
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

    def verify(self) -> None:
        """Read all chunks that are measured, and verify them as `read_chunk` does.

        Raises:
            OptionError: one of them is damaged, or another chunk, or of another run; or a file is no chunk of the run.
        """
        for model in self.manifest["order"]:
            deque(self._read_chunks([(model, chunk) for chunk in self.measured(model)]), maxlen=0)

    def rows(self) -> pl.DataFrame:
        """Return all rows, in the order of models, images, layers, utilities and methods.

        Raises:
            OptionError: a chunk cannot be read.
        """
        frame = pl.concat([self.model_rows(model) for model in self.manifest["order"]])
        return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def model_rows(self, model: str, columns: Sequence[str] | None = None, image: int | None = None) -> pl.DataFrame:
        """Return the rows of one model, in the order of images, layers, utilities and methods.

        Text is categorical, since the million rows that a model may have hold few distinct words.

        Args:
            model: a model of the run, by name.
            columns: names of columns; None for all.
            image: the position in the dataset of the only image whose rows are read, for which `index` must be among
                the columns; None for all.

        Raises:
            OptionError: a chunk cannot be read.
        """
        schema = schema_for(self.manifest["protocol"]["metrics"])
        names = schema.names if columns is None else columns
        chunks = [chunk for chunk in self.measured(model) if image is None or image in chunk]
        batches = [chunks[start : start + _DECODED] for start in range(0, len(chunks), _DECODED)]
        frames = [self._decode(model, batch, schema, names) for batch in batches]
        rows = pl.concat([decode_chunks([], schema, names), *frames])
        return rows if image is None else rows.filter(index=image)

    def _decode(self, model: str, chunks: Sequence[range], schema: pa.Schema, columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows of several chunks."""
        contents = list(self._read_chunks([(model, chunk) for chunk in chunks]))
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
            raise _refusal(f"{self.storage}/{file}", f"damaged ({on_one_line(error)})") from None

    def _read_chunks(self, chunks: Sequence[tuple[str, range]]) -> Iterator[bytes]:
        """Yield the verified files of chunks of models, read by several threads."""
        groups = [chunks[start : start + _READ_IN_TURN] for start in range(0, len(chunks), _READ_IN_TURN)]
        with ThreadPoolExecutor(_READERS) as pool:
            for contents in pool.map(lambda group: [self._read(*chunk) for chunk in group], groups):
                yield from contents
        self._warn_of_unverified()

    @cached_property
    def identity(self) -> str:
        """Return the identity of the run: a hash of its protocol, models and dataset."""
        return run_identity(self.manifest)

    def refuse_lost_run(self) -> None:
        """Refuse to go on where the run is not any more: what is written there nobody would find.

        Raises:
            OptionError: the results were removed, moved or exchanged, or are not on this machine.
        """
        if not has_manifest(self.storage):
            machine = platform.node()
            if machine != self._machine:
                raise OptionError(
                    f"{self.storage} has no {MANIFEST_FILE} on the machine {machine}: the machines of the cluster do "
                    "not share this folder; give one that they share, or a URL such as s3://bucket/run"
                )
            raise OptionError(
                f"{self.storage}/{MANIFEST_FILE} is not there any more: the results were removed or moved away while "
                "the run went on; put them back to go on with them, or evaluate again"
            )
        if run_identity(read_manifest(self.storage)) != self.identity:
            raise OptionError(
                f"{self.storage} holds another run than the one that writes to it: the results were exchanged while "
                "the run went on; put them back to go on with them, or choose another out="
            )

    def _identity_of(self, model: str, chunk: range) -> ChunkIdentity:
        return ChunkIdentity(self.identity, model, chunk)

    def _files_of(self, model: str) -> set[str]:
        return list_chunk_files(self.storage, self.manifest, model)

    def _verify_rows(self, content: bytes, expected: ChunkIdentity) -> str | None:
        """Return what is wrong with a file that carries no identity, None where nothing is known to be."""
        if self.manifest["format"] != FORMAT_WITHOUT_IDENTITY:
            return "damaged (it carries no identity, as every chunk of this run does)"
        # All columns, for the checksums of their pages: what decodes the rows looks at none.
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        if problem := find_row_problem(table, expected):
            return f"not the chunk that belongs there ({problem})"
        self._has_unverified = True
        return None

    def _warn_of_unverified(self) -> None:
        """Warn once of chunks that carry no identity: not where they are read, which threads do."""
        if self._has_unverified and not self._has_warned:
            self._has_warned = True
            warn(
                OldRunWarning,
                f"{self.storage} has chunks of an earlier version, which do not say of which run they are: that they "
                "belong to it was verified by their models and images alone",
            )


def _find_difference(identity: ChunkIdentity, expected: ChunkIdentity) -> str | None:
    """Return why a chunk is not the expected one, None if it is."""
    if identity == expected:
        return None
    if identity.run != expected.run:
        return f"not of this run (it is a chunk of another run, {describe(identity)})"
    return f"not the chunk that belongs there (it is that of {describe(identity)})"


def _refusal(file: str, problem: str) -> OptionError:
    return OptionError(f"{file}: {problem}; delete it and evaluate again, which makes it anew")
