"""The results of a run, written in chunks of images that are whole or absent.

A folder (or a URL) holds `manifest.json`, which says what is measured and how, and `parts/MODEL/FIRST-LAST.parquet`,
a file for each chunk. What has a file is done, so that a run that was stopped at any moment goes on without a list of
what it did, and no row is there twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shapleycam.errors import OptionError
from shapleycam.experiments.manifest import (
    MANIFEST_FILE,
    Manifest,
    differences_between_runs,
    has_manifest,
    new_manifest,
    read_manifest,
    write_manifest,
)
from shapleycam.experiments.rows import schema_for
from shapleycam.experiments.storage import Location, Storage, open_storage
from shapleycam.files import portable_name

_CHUNKS = "parts"
"""The folder of the chunks; its name, and those of the files, stay as runs of earlier versions have them."""


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

    @property
    def images(self) -> int:
        """Return how many images the dataset of the run has."""
        return int(self.manifest["dataset"]["images"])

    def chunks(self) -> list[range]:
        """Return the images of each chunk, by their positions in the dataset."""
        size = int(self.manifest["images_per_part"])
        return [range(start, min(start + size, self.images)) for start in range(0, self.images, size)]

    def pending(self, model: str) -> list[range]:
        """Return the chunks that are not measured yet for a model."""
        files = self._files_of(model)
        return [chunk for chunk in self.chunks() if _file_name(chunk) not in files]

    def write(self, model: str, chunk: range, table: pa.Table) -> None:
        """Write the rows of a chunk, whole or not at all.

        Raises:
            OptionError: the disk is full, or the storage cannot be written any more.
        """
        self.storage.write(
            f"{_folder_name(model)}/{_file_name(chunk)}",
            lambda file: pq.write_table(table, file, compression="zstd", write_page_checksum=True),
        )

    def rows(self) -> pl.DataFrame:
        """Return all rows, in the order of models, images, layers, utilities and methods.

        Raises:
            OptionError: a chunk cannot be read.
        """
        frame = pl.concat([self.model_rows(model) for model in self.manifest["order"]])
        return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def model_rows(self, model: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the rows of one model, in the order of images, layers, utilities and methods.

        Text is categorical, since the million rows that a model may have hold few distinct words.

        Args:
            model: a model of the run, by name.
            columns: names of columns; None for all.

        Raises:
            OptionError: a chunk cannot be read.
        """
        full_schema = schema_for(self.manifest["protocol"]["metrics"])
        schema = full_schema if columns is None else pa.schema([full_schema.field(name) for name in columns])
        files = self._files_of(model)
        present = (_file_name(chunk) for chunk in self.chunks() if _file_name(chunk) in files)
        tables = (_read_chunk(self.storage, f"{_folder_name(model)}/{file}", schema, columns) for file in present)
        frames = (pl.DataFrame(pl.from_arrow(table)) for table in chain([schema.empty_table()], tables))
        return pl.concat([frame.with_columns(pl.col(pl.String).cast(pl.Categorical)) for frame in frames])

    def _files_of(self, model: str) -> set[str]:
        return set(self.storage.names(_folder_name(model)))


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
    return f"{chunk.start:07d}-{chunk.stop - 1:07d}.parquet"


def _read_chunk(storage: Storage, file: str, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    """Return the table in a file, whose checksums and columns are verified."""
    try:
        content = pa.BufferReader(storage.read(file))
        table = pq.read_table(content, columns=columns and list(columns), page_checksum_verification=True)
        table.validate(full=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
    else:
        if table.schema.equals(schema):
            return table
        reason = f"its columns are not those of this run: {', '.join(table.column_names)}"
    raise OptionError(f"{storage}/{file}: damaged ({reason}); delete it and evaluate again, which makes it anew")
