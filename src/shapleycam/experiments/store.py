"""Results kept: written in parts that are whole or absent, under names that follow from the work itself.

A folder (or a URL) holds `manifest.json`, which says what is measured and how, and `parts/MODEL/FIRST-LAST.parquet`.
What is done is what has a file, so that a run that was stopped at any moment goes on, and nothing is there twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shapleycam.errors import OptionError
from shapleycam.experiments.protocol import differences
from shapleycam.experiments.rows import schema_for
from shapleycam.experiments.storage import Location, Storage, open_storage

_MANIFEST, _PARTS = "manifest.json", "parts"
_FORMAT = 1
_FIELDS = ("protocol", "order", "models", "dataset", "sessions", "images_per_part")
_NOT_COMPARED = ("format", "sessions", "images_per_part", "origin")
"""What may change between the sessions of a run; where weights come from, as long as they are the same."""
_AT_LEAST = 32
"""Images in a part at least, so that fifty thousand of them do not make fifty thousand files."""

Manifest = dict[str, Any]


class Store:
    """What one run keeps, in a folder or at a URL. Its driver holds the lock (`open_run`); readers need none."""

    def __init__(self, where: Location) -> None:
        self.storage = open_storage(where)
        self.manifest = _read_manifest(self.storage)

    @property
    def images(self) -> int:
        """How many images the run has."""
        return int(self.manifest["dataset"]["images"])

    def chunks(self) -> list[range]:
        """The images of each part, by position in the dataset."""
        size = int(self.manifest["images_per_part"])
        return [range(start, min(start + size, self.images)) for start in range(0, self.images, size)]

    def pending(self, model: str) -> list[range]:
        """The parts of a model that are not there yet."""
        there = self._there(model)
        return [part for part in self.chunks() if _file(part) not in there]

    def write(self, model: str, part: range, table: pa.Table) -> None:
        """Write a part, whole or not at all.

        Raises:
            OptionError: the disk is full, or the place cannot be written any more.
        """
        self.storage.write(
            f"{_folder(model)}/{_file(part)}",
            lambda file: pq.write_table(table, file, compression="zstd", write_page_checksum=True),
        )

    def rows(self) -> pl.DataFrame:
        """All rows, in the order of models, images, layers, utilities and methods.

        Raises:
            OptionError: a part that cannot be read.
        """
        whole = pl.concat([self.model_rows(model) for model in self.manifest["order"]])
        return whole.with_columns(pl.col(pl.Categorical).cast(pl.String))

    def model_rows(self, model: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of a model, all their columns or only these, in the order of images, layers, utilities and methods.

        Text is categorical, since the million rows that a model may have hold few words.

        Raises:
            OptionError: a part that cannot be read.
        """
        schema = schema_for(self.manifest["protocol"]["metrics"])
        asked = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        tables = (_read_part(self.storage, file, asked, columns and list(columns)) for file in self._files(model))
        frames = (pl.DataFrame(pl.from_arrow(table)) for table in chain([asked.empty_table()], tables))
        return pl.concat([frame.with_columns(pl.col(pl.String).cast(pl.Categorical)) for frame in frames])

    def _files(self, model: str) -> Iterator[str]:
        there = self._there(model)
        return (f"{_folder(model)}/{file}" for part in self.chunks() if (file := _file(part)) in there)

    def _there(self, model: str) -> set[str]:
        return set(self.storage.names(_folder(model)))


def is_run(where: Location) -> bool:
    """Whether a place holds results."""
    return _MANIFEST in open_storage(where).names()


@contextmanager
def open_run(where: Location, wanted: Manifest, batch_size: int) -> Iterator[Store]:
    """The store of a run for this process alone: a new one, or the same run to go on with.

    `wanted` has protocol, models, their order, and dataset; its sessions are added to those that were.

    Raises:
        OptionError: another process writes to the place, it holds something else, or results of another run.
    """
    storage = open_storage(where)
    _check_not_foreign(storage)
    with storage.lock():
        _check_not_foreign(storage)
        found = _read_manifest(storage) if is_run(storage) else None
        if found is None or (differences(found, wanted, _NOT_COMPARED) and not _is_begun(storage)):
            _write_manifest(storage, _new(wanted, batch_size))
        else:
            _check_same(storage, found, wanted)
        store = Store(storage)
        store.manifest["sessions"] += wanted["sessions"]
        _write_manifest(storage, store.manifest)
        yield store


def check_compatible(where: Location, wanted: Manifest) -> None:
    """What `open_run` will refuse, of as much of the manifest as is known; nothing is written.

    Raises:
        OptionError: the place holds something else, or results of another run.
    """
    storage = open_storage(where)
    _check_not_foreign(storage)
    if _is_begun(storage):
        found = _read_manifest(storage)
        _check_same(storage, {name: found[name] for name in wanted}, wanted)


def _is_begun(storage: Storage) -> bool:
    """Whether a place holds results; what was stopped before the first part may as well become another run."""
    return is_run(storage) and any(storage.names(f"{_PARTS}/{model}") for model in storage.names(_PARTS))


def _folder(model: str) -> str:
    return f"{_PARTS}/{quote(model, safe='')}"


def _file(part: range) -> str:
    return f"{part.start:07d}-{part.stop - 1:07d}.parquet"


def _new(wanted: Manifest, batch_size: int) -> Manifest:
    part = batch_size * -(-_AT_LEAST // batch_size)
    return {"format": _FORMAT, **wanted, "sessions": [], "images_per_part": part}


def _check_same(storage: Storage, found: Manifest, wanted: Manifest) -> None:
    if changed := differences(found, wanted, _NOT_COMPARED):
        raise OptionError(
            f"{storage} holds results of another run: {'; '.join(changed)}; choose another out=, or ask for the same "
            "again"
        )


def _check_not_foreign(storage: Storage) -> None:
    """Refuse a place with other things in it, before anything is done there."""
    names = storage.names()
    if names and _MANIFEST not in names:
        raise OptionError(f"{storage} is not empty ({', '.join(names[:3])}) and holds no results; choose another out=")


def _read_manifest(storage: Storage) -> Manifest:
    if not is_run(storage):
        raise OptionError(f"{storage}: no results of an evaluation ({_MANIFEST} is missing); give a folder of evaluate")
    try:
        found: Manifest = json.loads(storage.read(_MANIFEST))
        reason = _fault(found)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    if reason:
        raise OptionError(
            f"{storage}/{_MANIFEST}: not a manifest of this version ({reason}); evaluate again into another folder"
        )
    return found


def _fault(manifest: Manifest) -> str | None:
    """What keeps a manifest from being used."""
    if manifest.get("format") != _FORMAT:
        return f"format {manifest.get('format')}, expected {_FORMAT}"
    if missing := [name for name in _FIELDS if name not in manifest]:
        return f"{missing[0]} is missing"
    per_part, images = manifest["images_per_part"], manifest["dataset"].get("images")
    if not isinstance(per_part, int) or per_part < 1 or not isinstance(images, int):
        return f"images_per_part is {per_part!r}, dataset.images {images!r}; expected whole numbers"
    return None if "metrics" in manifest["protocol"] else "protocol.metrics is missing"


def _write_manifest(storage: Storage, manifest: Manifest) -> None:
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    storage.write(_MANIFEST, lambda file: file.write(text.encode()))


def _read_part(storage: Storage, file: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        whole = pa.BufferReader(storage.read(file))
        table = pq.read_table(whole, columns=columns, page_checksum_verification=True)
        table.validate(full=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
    else:
        if table.schema.equals(schema):
            return table
        reason = f"its columns are not those of this run: {', '.join(table.column_names)}"
    raise OptionError(f"{storage}/{file}: damaged ({reason}); delete it and evaluate again, which makes it anew")
