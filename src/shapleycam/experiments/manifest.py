"""The manifest of a run: its protocol, models, dataset and provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from shapleycam.errors import OptionError
from shapleycam.experiments.differences import list_differences
from shapleycam.experiments.manifest_check import find_manifest_problem
from shapleycam.experiments.rules import complete_protocol
from shapleycam.experiments.storage import Storage
from shapleycam.wording import type_and_first_line

Manifest = dict[str, Any]
"""Keys: format, identity, protocol, order (of the models), models, dataset, sessions (provenance), images_per_part."""

FORMAT = 2
"""Format number of the manifests and chunks of new runs."""
FORMAT_WITHOUT_IDENTITY = 1
"""Format number of earlier versions, and of manifests without a number: manifest and chunks have no identity."""
MANIFEST_FILE = "manifest.json"
_NOT_COMPARED = ("format", "identity", "sessions", "images_per_part")
"""Keys that may change when a run is continued."""
_NOT_IN_IDENTITY = ("identity", "sessions")
_LEAST_CHUNK = 32
"""Minimum number of images in a chunk, so that a large dataset does not make too many files."""


def new_manifest(content: Manifest, batch_size: int) -> Manifest:
    """Return the manifest of a new run, with chunks of whole batches and without sessions."""
    images = chunk_size(batch_size)
    manifest = {"format": FORMAT, "identity": "", **content, "sessions": [], "images_per_part": images}
    return {**manifest, "identity": run_identity(manifest)}


def chunk_size(batch_size: int) -> int:
    """Return the number of images in a chunk of a new run: whole batches, and at least 32 images."""
    return batch_size * -(-_LEAST_CHUNK // batch_size)


def run_identity(manifest: Mapping[str, Any]) -> str:
    """Return the identity of a run: the SHA-256, in hexadecimal, of its manifest.

    The sessions and the origins of weights are left out, so that a repeated run has the same identity.
    """
    content = {name: value for name, value in manifest.items() if name not in _NOT_IN_IDENTITY}
    text = json.dumps(_without_origins(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(storage: Storage) -> Manifest:
    """Return the manifest of a run.

    Raises:
        OptionError: there is no manifest, it is damaged or was edited, or a newer version of the package wrote it.
    """
    if not has_manifest(storage):
        raise OptionError(
            f"{storage}: no results of an evaluation ({MANIFEST_FILE} is missing); give a folder of evaluate"
        )
    file = f"{storage}/{MANIFEST_FILE}"
    try:
        manifest = json.loads(storage.read(MANIFEST_FILE))
        if isinstance(manifest, dict):
            manifest = {"format": FORMAT_WITHOUT_IDENTITY, **manifest}
        problem = find_manifest_problem(manifest, (FORMAT_WITHOUT_IDENTITY, FORMAT))
    except (OSError, ValueError, RecursionError) as error:
        problem = type_and_first_line(error)
    if problem:
        problem = " ".join(problem.split())
        raise OptionError(
            f"{file}: not a manifest of this version ({problem}); put back the file that the run wrote, or evaluate "
            "again into another folder"
        )
    has_identity = "identity" in manifest or manifest["format"] != FORMAT_WITHOUT_IDENTITY
    if has_identity and manifest.get("identity") != run_identity(manifest):
        raise OptionError(
            f"{file}: changed since the run wrote it (its content does not agree with its identity); put back the file "
            "that the run wrote, or evaluate again into another folder"
        )
    return dict(manifest)


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Write the manifest of a run; the file is either complete or absent.

    Raises:
        OptionError: the disk is full, or the storage cannot be written.
    """
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    # File names in other encodings have surrogates. Python's backslash escapes of these are the same as JSON's.
    storage.write(MANIFEST_FILE, lambda file: file.write(text.encode(errors="backslashreplace")))


def has_manifest(storage: Storage) -> bool:
    """Return whether a storage has a run."""
    return MANIFEST_FILE in storage.names()


def differences_between_runs(existing: Manifest, requested: Manifest) -> list[str]:
    """Return the differences between two manifests that make them different runs, as phrases.

    The origin of weights may differ if the weights are the same.
    """
    compared_existing, compared_requested = (
        {name: value for name, value in _comparable(manifest).items() if name not in _NOT_COMPARED}
        for manifest in (existing, requested)
    )
    return list_differences(compared_existing, compared_requested)


def _comparable(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {**_without_origins(manifest), "protocol": complete_protocol(manifest["protocol"])}


def _without_origins(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest, or a part of one, without the origins of the models' weights."""
    records = {
        model: {name: value for name, value in record.items() if name != "origin"}
        for model, record in manifest.get("models", {}).items()
    }
    return {**manifest, **({"models": records} if records else {})}
