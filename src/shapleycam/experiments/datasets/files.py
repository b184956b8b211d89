"""A dataset whose photographs are files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapleycam.experiments.datasets.dataset import Dataset, Label

_SAMPLE = 4096


@dataclass(frozen=True, eq=False, repr=False)
class Files(Dataset):
    """Photographs in files of their own; one that is missing is noticed when it is opened."""

    origin: str
    paths: Sequence[Path]
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def open(self, index: int) -> Path:
        """The path, not looked at yet."""
        return self.paths[index]

    def mark(self, index: int) -> str:
        """The file's size, and a sample of its content."""
        return file_mark(self.paths[index])


def file_mark(path: Path, start: int = 0, size: int | None = None) -> str:
    """The size in bytes of a file, or of a piece of it, and the SHA-256 of 4 KiB in its middle; "missing" without one.

    A picture that is exchanged for another of the same size is noticed, and a large dataset is not read whole.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size if size is None else size
            file.seek(start + max(0, (size - _SAMPLE) // 2))
            sample = file.read(min(size, _SAMPLE))
    except OSError:
        return "missing"
    return f"{size} {hashlib.sha256(sample).hexdigest()}"
