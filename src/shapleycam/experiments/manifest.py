"""The manifest of a run: its protocol, models, dataset and provenance."""

from __future__ import annotations

import json
from typing import Any

from shapleycam.errors import OptionError
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.storage import Storage

Manifest = dict[str, Any]
"""Keys: format, protocol, order (of the models), models, dataset, sessions (provenance), images_per_part."""

FORMAT = 1
"""Number of the form that manifests and chunks are written in; a manifest without a number is of this form too."""
MANIFEST_FILE = "manifest.json"
_FIELDS = ("protocol", "order", "models", "dataset", "sessions", "images_per_part")
_NOT_COMPARED = ("format", "sessions", "images_per_part", "origin")
"""What may change when a run goes on; the origin of weights among it, as long as the weights are the same."""
_LEAST_CHUNK = 32
"""Images of a chunk at least, so that fifty thousand of them do not make fifty thousand files."""


def new_manifest(content: Manifest, batch_size: int) -> Manifest:
    """Return the manifest of a new run, with chunks of whole batches and no session yet."""
    chunk_size = batch_size * -(-_LEAST_CHUNK // batch_size)
    return {"format": FORMAT, **content, "sessions": [], "images_per_part": chunk_size}


def read_manifest(storage: Storage) -> Manifest:
    """Return the manifest of a run.

    Raises:
        OptionError: there is none, it is damaged, or a newer version of the package wrote it.
    """
    if not has_manifest(storage):
        raise OptionError(
            f"{storage}: no results of an evaluation ({MANIFEST_FILE} is missing); give a folder of evaluate"
        )
    try:
        manifest: Manifest = json.loads(storage.read(MANIFEST_FILE))
        manifest = {"format": FORMAT, **manifest}
        problem = _find_problem(manifest)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise OptionError(
            f"{storage}/{MANIFEST_FILE}: not a manifest of this version ({problem}); evaluate again into another folder"
        )
    return manifest


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Write the manifest of a run, whole or not at all.

    Raises:
        OptionError: the disk is full, or the storage cannot be written.
    """
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    storage.write(MANIFEST_FILE, lambda file: file.write(text.encode()))


def has_manifest(storage: Storage) -> bool:
    """Return whether a storage holds a run."""
    return MANIFEST_FILE in storage.names()


def differences_between_runs(existing: Manifest, requested: Manifest) -> list[str]:
    """Return what makes two manifests those of different runs, as sentences."""
    return list_differences(existing, requested, _NOT_COMPARED)


def _find_problem(manifest: Manifest) -> str | None:
    """Return why a manifest cannot be used, None if it can."""
    if manifest["format"] != FORMAT:
        return f"format {manifest['format']}, expected {FORMAT}"
    if missing := [name for name in _FIELDS if name not in manifest]:
        return f"{missing[0]} is missing"
    chunk_size, images = manifest["images_per_part"], manifest["dataset"].get("images")
    if not isinstance(chunk_size, int) or chunk_size < 1 or not isinstance(images, int):
        return f"images_per_part is {chunk_size!r}, dataset.images {images!r}; expected whole numbers"
    return None if "metrics" in manifest["protocol"] else "protocol.metrics is missing"
