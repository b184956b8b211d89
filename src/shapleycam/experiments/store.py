"""The results of a run, written in chunks of images that are whole or absent.

A folder (or a URL) holds `manifest.json`, which says what is measured and how, and `parts/MODEL/FIRST-LAST.parquet`,
a file for each chunk. What has a file is done, so that a run that was stopped at any moment goes on without a list of
what it did, and no row is there twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shapleycam.errors import OldRunWarning, OptionError, warn
from shapleycam.experiments.chunk_identity import (
    KEY_COLUMNS,
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
    Manifest,
    differences_between_runs,
    has_manifest,
    new_manifest,
    read_manifest,
    run_identity,
    write_manifest,
)
from shapleycam.experiments.rows import schema_for
from shapleycam.experiments.storage import Location, Storage, open_storage
from shapleycam.files import portable_name
from shapleycam.wording import on_one_line

_CHUNKS = "parts"
"""The folder of the chunks; its name, and those of the files, stay as runs of earlier versions have them."""
_SUFFIX = ".parquet"
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
        self._has_warned = False

    @property
    def images(self) -> int:
        """Return how many images the dataset of the run has."""
        return int(self.manifest["dataset"]["images"])

    def chunks(self) -> list[range]:
        """Return the images of each chunk, by their positions in the dataset."""
        size = int(self.manifest["images_per_part"])
        return [range(start, min(start + size, self.images)) for start in range(0, self.images, size)]

    def measured(self, model: str) -> list[range]:
        """Return the chunks that are measured for a model.

        Raises:
            OptionError: a file is there that is no chunk of the run.
        """
        files = self._files_of(model)
        return [chunk for chunk in self.chunks() if _file_name(chunk) in files]

    def pending(self, model: str) -> list[range]:
        """Return the chunks that are not measured yet for a model.

        Raises:
            OptionError: a file is there that is no chunk of the run.
        """
        files = self._files_of(model)
        return [chunk for chunk in self.chunks() if _file_name(chunk) not in files]

    def write(self, model: str, chunk: range, table: pa.Table) -> None:
        """Write the rows of a chunk, whole or not at all, with the identity of the chunk.

        Raises:
            OptionError: the disk is full, or the storage cannot be written any more.
            ValueError: the rows are not those of the chunk.
        """
        content = encode_chunk(table, self._identity_of(model, chunk))
        self.storage.write(_path_of(model, chunk), lambda file: file.write(content))

    def read_chunk(self, model: str, chunk: range) -> bytes:
        """Return the Parquet file of a chunk, of which it is verified that it is the one that the run wrote there.

        Files of earlier versions carry no identity. Their rows are read, and must be of the model and the images of the
        chunk; one warning says that more could not be verified.

        Raises:
            OptionError: the file cannot be read, is damaged, or is another chunk or of another run.
        """
        expected = self._identity_of(model, chunk)
        try:
            content = self.storage.read(_path_of(model, chunk))
            identity = read_identity(content)
            problem = self._verify_rows(content, expected) if identity is None else _find_difference(identity, expected)
        except (OSError, ValueError, pa.ArrowException) as error:
            problem = f"damaged ({on_one_line(error)})"
        if problem:
            raise _refusal(f"{self.storage}/{_path_of(model, chunk)}", problem)
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
                self._refuse_undecodable(_path_of(model, chunk), content, schema, columns)
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
            for contents in pool.map(lambda group: [self.read_chunk(*chunk) for chunk in group], groups):
                yield from contents

    @cached_property
    def _run_identity(self) -> str:
        return run_identity(self.manifest)

    def _identity_of(self, model: str, chunk: range) -> ChunkIdentity:
        return ChunkIdentity(self._run_identity, model, chunk)

    def _files_of(self, model: str) -> set[str]:
        """Return the names of the chunks of a model; refuse other Parquet files beside them, and in other folders."""
        expected_folders = {_folder_name(name) for name in self.manifest["order"]}
        folders = {f"{_CHUNKS}/{name}" for name in self.storage.names(_CHUNKS)}
        expected_files = {_file_name(chunk) for chunk in self.chunks()}
        files = set(self.storage.names(_folder_name(model)))
        strange = [f"{_folder_name(model)}/{name}" for name in sorted(files - expected_files)]
        strange += [
            f"{folder}/{name}" for folder in sorted(folders - expected_folders) for name in self.storage.names(folder)
        ]
        if chunks := [name for name in strange if name.endswith(_SUFFIX)]:
            raise OptionError(
                f"{self.storage}/{chunks[0]}: no chunk of this run by its name; the run has {self.images} images in "
                f"chunks of {self.manifest['images_per_part']} and the models {', '.join(self.manifest['order'])}: "
                f"move the file away, or put back the {MANIFEST_FILE} that belongs to it"
            )
        return files & expected_files

    def _verify_rows(self, content: bytes, expected: ChunkIdentity) -> str | None:
        """Return what is wrong with a file that carries no identity, None where nothing is known to be."""
        if self.manifest["format"] != FORMAT_WITHOUT_IDENTITY:
            return "damaged (it carries no identity, as every chunk of this run does)"
        table = pq.read_table(pa.BufferReader(content), columns=list(KEY_COLUMNS), page_checksum_verification=True)
        if problem := find_row_problem(table, expected):
            return f"not the chunk that belongs there ({problem})"
        if not self._has_warned:
            self._has_warned = True
            warn(
                OldRunWarning,
                f"{self.storage} has chunks of an earlier version, which do not say of which run they are: that they "
                "belong to it was verified by their models and images alone",
            )
        return None


def is_run(location: Location) -> bool:
    """Return whether a folder or URL holds the results of a run."""
    return has_manifest(open_storage(location))


@contextmanager
def open_run(location: Location, requested: Manifest, batch_size: int) -> Iterator[Store]:
    """Open the store of a run for this process alone: a new run, or the same run to go on with.

    Args:
        location: a path, a URL, or a storage.
        requested: the manifest's protocol, models, order and dataset, and the `sessions` to add to the earlier ones.
        batch_size: images of a batch, of which the chunks of a new run are made.

    Raises:
        OptionError: another process writes there, it holds something else, or results of another run.
    """
    storage = open_storage(location)
    _refuse_other_files(storage)
    with storage.lock():
        _refuse_other_files(storage)  # which may have come while another run held the lock
        existing = read_manifest(storage) if has_manifest(storage) else None
        if existing is None or (differences_between_runs(existing, requested) and not _has_results(storage)):
            write_manifest(storage, new_manifest(requested, batch_size))
        else:
            _refuse_other_run(storage, existing, requested)
        store = Store(storage)
        store.verify()
        store.manifest["sessions"] += requested["sessions"]
        write_manifest(storage, store.manifest)
        yield store


def check_compatible(location: Location, requested: Manifest) -> None:
    """Refuse what `open_run` would refuse, from as much of the manifest as is known; nothing is written.

    Raises:
        OptionError: the folder or URL holds something else, or results of another run.
    """
    storage = open_storage(location)
    _refuse_other_files(storage)
    if _has_results(storage):
        existing = read_manifest(storage)
        _refuse_other_run(storage, {name: existing[name] for name in requested}, requested)


def _has_results(storage: Storage) -> bool:
    """Return whether a chunk is written; a run that was stopped before the first one may be replaced by another."""
    return has_manifest(storage) and any(storage.names(f"{_CHUNKS}/{model}") for model in storage.names(_CHUNKS))


def _refuse_other_run(storage: Storage, existing: Manifest, requested: Manifest) -> None:
    if differences := differences_between_runs(existing, requested):
        raise OptionError(
            f"{storage} holds results of another run: {'; '.join(differences)}; choose another out=, or ask for the "
            "same again"
        )


def _refuse_other_files(storage: Storage) -> None:
    """Refuse a folder with files that are not of a run, before anything is done there."""
    names = storage.names()
    if names and MANIFEST_FILE not in names:
        raise OptionError(f"{storage} is not empty ({', '.join(names[:3])}) and holds no results; choose another out=")


def _folder_name(model: str) -> str:
    return f"{_CHUNKS}/{portable_name(model)}"


def _file_name(chunk: range) -> str:
    return f"{chunk.start:07d}-{chunk.stop - 1:07d}{_SUFFIX}"


def _path_of(model: str, chunk: range) -> str:
    return f"{_folder_name(model)}/{_file_name(chunk)}"


def _find_difference(identity: ChunkIdentity, expected: ChunkIdentity) -> str | None:
    """Return why a chunk is not the expected one, None if it is."""
    if identity == expected:
        return None
    if identity.run != expected.run:
        return f"not of this run (it is a chunk of another run, {describe(identity)})"
    return f"not the chunk that belongs there (it is that of {describe(identity)})"


def _refusal(file: str, problem: str) -> OptionError:
    return OptionError(f"{file}: {problem}; delete it and evaluate again, which makes it anew")
