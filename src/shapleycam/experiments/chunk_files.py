"""The names of a run's chunks and their files."""

from __future__ import annotations

from shapleycam.errors import OptionError
from shapleycam.experiments.manifest import MANIFEST_FILE, Manifest
from shapleycam.experiments.storage import Storage
from shapleycam.files import portable_name

CHUNKS = "parts"
"""The folder of the chunks. This name and the names of the files must not change, so that old runs can be read."""
STARTED = "started"
"""The folder of the files of `StartedChunk`."""
_SUFFIX = ".parquet"


def chunks_of(manifest: Manifest) -> list[range]:
    """Return for each chunk of a run the positions of its images in the dataset.

    Examples:
        >>> from shapleycam.experiments.chunk_files import chunks_of
        >>> chunks_of({"images_per_part": 32, "dataset": {"images": 40}})
        [range(0, 32), range(32, 40)]
    """
    size, images = manifest["images_per_part"], manifest["dataset"]["images"]
    return [range(start, min(start + size, images)) for start in range(0, images, size)]


def file_name(chunk: range) -> str:
    """Return the name of a chunk's file in the folder of its model."""
    return f"{chunk.start:07d}-{chunk.stop - 1:07d}{_SUFFIX}"


def path_of(model: str, chunk: range) -> str:
    """Return the name of a chunk's file in the storage."""
    return f"{_folder_of(model)}/{file_name(chunk)}"


def started_path_of(model: str, chunk: range) -> str:
    """Return the name in the storage of the file of a `StartedChunk`."""
    return f"{STARTED}/{portable_name(model)}/{file_name(chunk).removesuffix(_SUFFIX)}"


def list_chunk_files(storage: Storage, manifest: Manifest, model: str) -> set[str]:
    """Return the names of the existing chunk files of a model.

    Raises:
        OptionError: there is a Parquet file of another name beside them, or in a folder that belongs to no model of the
            run.
    """
    names, expected = set(storage.names(_folder_of(model))), set(map(file_name, chunks_of(manifest)))
    strange = [f"{_folder_of(model)}/{name}" for name in sorted(names - expected)]
    folders = {f"{CHUNKS}/{name}" for name in storage.names(CHUNKS)}
    for folder in sorted(folders - set(map(_folder_of, manifest["order"]))):
        strange += [folder, *(f"{folder}/{name}" for name in storage.names(folder))]
    if chunks := [name for name in strange if name.endswith(_SUFFIX)]:
        raise OptionError(
            f"{storage}/{chunks[0]}: no chunk of this run by its name; the run has {manifest['dataset']['images']} "
            f"images in chunks of {manifest['images_per_part']}, and the models {', '.join(manifest['order'])}: move "
            f"the file away, or put back the {MANIFEST_FILE} that belongs to it"
        )
    return names & expected


def _folder_of(model: str) -> str:
    return f"{CHUNKS}/{portable_name(model)}"
