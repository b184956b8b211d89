"""`Store`: the results of a run, in chunks of images that are either complete or absent.

A folder (or a URL) has `manifest.json`, which says what is measured and how, and `parts/MODEL/FIRST-LAST.parquet`, one
file for each chunk. A chunk with a file is done. So an interrupted run continues without a list of what it did, and no
row is written twice.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from functools import cached_property

import polars as pl
import pyarrow as pa

from shapleycam.errors import OptionError
from shapleycam.experiments.chunk_files import chunks_of, file_name, list_chunk_files, path_of
from shapleycam.experiments.chunk_identity import ChunkIdentity, encode_chunk
from shapleycam.experiments.chunk_reader import ChunkReader
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


class Store:
    """The results of one run, in a folder or at a URL.

    `manifest` says what was measured. Only the process that measures needs the lock (`open_run`).

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

    @property
    def images(self) -> int:
        """Return the number of images in the run's dataset."""
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
        """Write the rows of a chunk with its identity; the file is either complete or absent.

        Raises:
            OptionError: the run was removed, the disk is full, or the storage cannot be written any more.
            ValueError: the rows do not belong to the chunk.
        """
        self.refuse_lost_run()
        content = encode_chunk(table, ChunkIdentity(self.identity, model, chunk))
        self.storage.write(path_of(model, chunk), lambda file: file.write(content))

    def verify(self) -> None:
        """Read all measured chunks, and verify that they are the files that the run wrote.

        Raises:
            OptionError: a file is damaged, or belongs to another chunk or run, or is not a chunk.
        """
        for model in self.manifest["order"]:
            for _ in self._reader.read(model, self.measured(model)):
                pass

    def rows(self) -> pl.DataFrame:
        """Return all rows, in the order of models, images, layers, utilities and methods.

        Raises:
            OptionError: a chunk cannot be read.
        """
        frame = pl.concat([self.model_rows(model) for model in self.manifest["order"]])
        return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def model_rows(self, model: str, columns: Sequence[str] | None = None, image: int | None = None) -> pl.DataFrame:
        """Return the rows of one model, in the order of images, layers, utilities and methods.

        Text columns are categorical, since a model may have a million rows with few distinct texts.

        Args:
            model: a model of the run, by name.
            columns: names of columns; None for all.
            image: the position in the dataset of a single image whose rows are read; `index` must then be among the
                columns. None for all images.

        Raises:
            OptionError: a chunk cannot be read.
        """
        schema = schema_for(self.manifest["protocol"]["metrics"])
        names = schema.names if columns is None else columns
        chunks = [chunk for chunk in self.measured(model) if image is None or image in chunk]
        rows = self._reader.decode(model, chunks, schema, names)
        return rows if image is None else rows.filter(index=image)

    @cached_property
    def identity(self) -> str:
        """Return the identity of the run: a hash of its protocol, models and dataset."""
        return run_identity(self.manifest)

    def version(self) -> str:
        """Return a text that changes when the run is replaced, or a chunk is written.

        Raises:
            OptionError: a file is not a chunk of the run, or a chunk was removed during the call.
        """
        digest = hashlib.sha256(self.identity.encode())
        for model in self.manifest["order"]:
            for path in (path_of(model, chunk) for chunk in self.measured(model)):
                try:
                    digest.update(f"{path} {self.storage.version(path)}\n".encode())
                except OSError as error:
                    raise OptionError(
                        f"{self.storage}/{path}: cannot be read ({on_one_line(error)}); expected a run that nobody "
                        "removes: read it again"
                    ) from None
        return digest.hexdigest()[:16]

    def refuse_lost_run(self) -> None:
        """Refuse to continue if the run was removed from its location, where new results would be lost.

        Raises:
            OptionError: the results were removed, moved or replaced, or are not on this machine.
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

    @cached_property
    def _reader(self) -> ChunkReader:
        return ChunkReader(
            self.storage, self.identity, has_identities=self.manifest["format"] != FORMAT_WITHOUT_IDENTITY
        )

    def _files_of(self, model: str) -> set[str]:
        return list_chunk_files(self.storage, self.manifest, model)
