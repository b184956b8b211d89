"""Open the results of a run for writing: a new run, or an existing run that is continued."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shapleycam.errors import OptionError
from shapleycam.experiments.chunk_files import CHUNKS
from shapleycam.experiments.manifest import (
    MANIFEST_FILE,
    Manifest,
    differences_between_runs,
    has_manifest,
    new_manifest,
    read_manifest,
    write_manifest,
)
from shapleycam.experiments.storage import Location, Storage, open_storage
from shapleycam.experiments.store import Store


def is_run(location: Location) -> bool:
    """Return whether a folder or URL contains the results of a run."""
    return has_manifest(open_storage(location))


@contextmanager
def open_run(location: Location, requested: Manifest, batch_size: int) -> Iterator[Store]:
    """Open the store of a run exclusively: a new run, or an existing run that is continued.

    Args:
        location: a path, a URL, or a storage.
        requested: the manifest's protocol, models, order and dataset, and the `sessions` to add to the earlier ones.
        batch_size: the number of images in a batch, which decides the chunks of a new run.

    Raises:
        OptionError: another process writes there, or there are other files, or results of another run.
    """
    storage = open_storage(location)
    _refuse_other_files(storage)
    with storage.lock():
        _refuse_other_files(storage)  # again: files may have been written while another run held the lock
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
    """Refuse a location that `open_run` would refuse, as far as the manifest is known; nothing is written.

    Raises:
        OptionError: the folder or URL has other files, or results of another run.
    """
    storage = open_storage(location)
    _refuse_other_files(storage)
    if _has_results(storage):
        existing = read_manifest(storage)
        _refuse_other_run(storage, {name: existing[name] for name in requested}, requested)


def _has_results(storage: Storage) -> bool:
    """Return whether a chunk was written; a run without any chunk may be replaced by another run."""
    return has_manifest(storage) and any(storage.names(f"{CHUNKS}/{model}") for model in storage.names(CHUNKS))


def _refuse_other_run(storage: Storage, existing: Manifest, requested: Manifest) -> None:
    if differences := differences_between_runs(existing, requested):
        raise OptionError(
            f"{storage} holds results of another run: {'; '.join(differences)}; choose another out=, or evaluate the "
            "same photographs with the same models and settings again"
        )


def _refuse_other_files(storage: Storage) -> None:
    """Refuse a folder with files that do not belong to a run."""
    names = storage.names()
    if names and MANIFEST_FILE not in names:
        raise OptionError(f"{storage} is not empty ({', '.join(names[:3])}) and holds no results; choose another out=")
