"""Results on disk: written in parts that are whole or absent, under names that follow from the work itself.

A folder holds `manifest.json`, which says what is measured and how, and `parts/MODEL/FIRST-LAST.parquet`. What is done
is what has a file, so that a run that was stopped at any moment goes on, and nothing is there twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from shapleycam.errors import OptionError
from shapleycam.experiments.protocol import differences
from shapleycam.experiments.rows import schema_for
from shapleycam.files import UNFINISHED, folder, write_whole

_MANIFEST, _PARTS, _LOCK = "manifest.json", "parts", "run.lock"
_FORMAT = 1
_FIELDS = ("protocol", "order", "models", "dataset", "sessions", "images_per_part")
_AT_LEAST = 32
"""Images in a part at least, so that fifty thousand of them do not make fifty thousand files."""

Manifest = dict[str, Any]


class Store:
    """The folder of one run. Writers hold its lock (`open_run`); readers need none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _read_manifest(path)

    @property
    def images(self) -> int:
        """How many images the run has."""
        return int(self.manifest["dataset"]["images"])

    def parts(self) -> list[range]:
        """The images of each part, by position in the dataset."""
        size = int(self.manifest["images_per_part"])
        return [range(start, min(start + size, self.images)) for start in range(0, self.images, size)]

    def pending(self, model: str) -> list[range]:
        """The parts of a model that are not there yet."""
        return [part for part in self.parts() if not self._file(model, part).exists()]

    def write(self, model: str, part: range, table: pa.Table) -> None:
        """Write a part, whole or not at all.

        Raises:
            OptionError: the disk is full, or the folder cannot be written any more.
        """
        path = self._file(model, part)
        folder(path.parent)
        write_whole(path, lambda file: pq.write_table(table, file, compression="zstd", write_page_checksum=True))

    def rows(self) -> pl.DataFrame:
        """All rows, in the order of models, images, layers, utilities and methods.

        Raises:
            OptionError: a part that cannot be read.
        """
        schema = schema_for(self.manifest["protocol"]["metrics"])
        files = [file for model in self.manifest["order"] for file in self._files(model)]
        whole = pa.concat_tables([schema.empty_table(), *(_read_part(file, schema) for file in files)])
        return pl.DataFrame(pl.from_arrow(whole))

    def _files(self, model: str) -> Iterator[Path]:
        return (file for part in self.parts() if (file := self._file(model, part)).exists())

    def _file(self, model: str, part: range) -> Path:
        return self.path / _PARTS / quote(model, safe="") / f"{part.start:07d}-{part.stop - 1:07d}.parquet"


def is_run(path: Path) -> bool:
    """Whether a folder holds results."""
    return (path / _MANIFEST).is_file()


@contextmanager
def open_run(path: Path, wanted: Manifest, batch_size: int) -> Iterator[Store]:
    """The store of a run for this process alone: a new one, or the same run to go on with.

    `wanted` has protocol, models, their order, and dataset; its sessions are added to those that were.

    Raises:
        OptionError: another process writes to the folder, it holds something else, or results of another run.
    """
    _check_not_foreign(path)
    folder(path)
    with _locked(path):
        _check_not_foreign(path)
        for left in (*path.glob(f"{UNFINISHED}*"), *(path / _PARTS).rglob(f"{UNFINISHED}*")):
            if left.is_file():  # of a process that was killed
                left.unlink()
        if is_run(path):
            _check_same(path, _read_manifest(path), wanted)
        else:
            _write_manifest(path, _new(wanted, batch_size))
        store = Store(path)
        store.manifest["sessions"] += wanted["sessions"]
        _write_manifest(path, store.manifest)
        yield store


def _new(wanted: Manifest, batch_size: int) -> Manifest:
    part = batch_size * -(-_AT_LEAST // batch_size)
    return {"format": _FORMAT, **wanted, "sessions": [], "images_per_part": part}


def _check_same(path: Path, found: Manifest, wanted: Manifest) -> None:
    ignored = {"format", "sessions", "images_per_part"}
    if changed := differences(found, wanted, ignored):
        raise OptionError(_refusal(path, changed))


def _refusal(path: Path, changed: Sequence[str]) -> str:
    return f"{path} holds results of another run: {'; '.join(changed)}; choose another --out, or ask for the same again"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        held = FileLock(path / _LOCK).acquire(timeout=0)
    except Timeout:
        raise OptionError(f"{path}: another run writes to this folder; wait for it, or choose another --out") from None
    with held:
        yield


def _check_not_foreign(path: Path) -> None:
    """Refuse a folder with other things in it, before anything is done there."""
    if is_run(path) or not path.is_dir():
        return
    others = [entry.name for entry in path.iterdir() if entry.name != _LOCK and not _is_left(entry)]
    if others:
        raise OptionError(
            f"{path} is not empty ({', '.join(sorted(others)[:3])}) and holds no results; choose another --out"
        )


def _is_left(entry: Path) -> bool:
    """Whether this is a manifest that a killed process had not finished."""
    return entry.name.startswith(UNFINISHED) and entry.is_file()


def _read_manifest(path: Path) -> Manifest:
    file = path / _MANIFEST
    if not is_run(path):
        raise OptionError(f"{path}: no results of an evaluation ({_MANIFEST} is missing); give a folder of evaluate")
    try:
        found: Manifest = json.loads(file.read_text(encoding="utf-8"))
        reason = _fault(found)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    if reason:
        raise OptionError(f"{file}: not a manifest of this version ({reason}); evaluate again into another folder")
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


def _write_manifest(path: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    write_whole(path / _MANIFEST, lambda file: file.write(text.encode()))


def _read_part(file: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(file, page_checksum_verification=True)
        table.validate(full=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
    else:
        if table.schema.equals(schema):
            return table
        reason = f"its columns are not those of this run: {', '.join(table.column_names)}"
    raise OptionError(f"{file}: damaged ({reason}); delete it and evaluate again, which makes it anew")
