"""A dataset whose photographs are files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapleycam.experiments.datasets.dataset import Dataset, Label

_SAMPLE_BYTES = 4096


@dataclass(frozen=True, eq=False, repr=False)
class FileDataset(Dataset):
    """Photographs in files of their own; a missing one is noticed when it is opened."""

    origin: str
    paths: Sequence[Path]
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def open(self, index: int) -> Path:
        """Return the path of the file, which has not been read yet."""
        return self.paths[index]

    def content_signature(self, index: int) -> str:
        """Return the file's size and a sample of its content."""
        return file_signature(self.paths[index])


def file_signature(path: Path, start: int = 0, size: int | None = None) -> str:
    """Return the size in bytes of a file, or of a part of it, and the SHA-256 of 4 KiB in its middle.

    A picture that is exchanged for another of the same size is noticed, and a large dataset is not read whole. The
    signature of a file that cannot be read is "missing".
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size if size is None else size
            file.seek(start + max(0, (size - _SAMPLE_BYTES) // 2))
            sample = file.read(min(size, _SAMPLE_BYTES))
    except OSError:
        return "missing"
    return f"{size} {hashlib.sha256(sample).hexdigest()}"
