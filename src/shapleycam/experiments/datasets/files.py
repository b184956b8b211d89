"""A dataset whose photographs are files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapleycam.experiments.datasets.dataset import Dataset, Label


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
        """The file's size in bytes."""
        return file_size(self.paths[index])


def file_size(path: Path) -> str:
    """The size of a file in bytes, in decimal, or "missing" where there is nothing to be measured."""
    try:
        return str(path.stat().st_size)
    except OSError:
        return "missing"
