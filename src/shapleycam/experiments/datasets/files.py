"""`FileDataset`: a dataset whose photographs are files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shapleycam.experiments.datasets.byte_sources import LocalFile
from shapleycam.experiments.datasets.dataset import Dataset, Label


@dataclass(frozen=True, eq=False, repr=False)
class FileDataset(Dataset):
    """Photographs that are files; a missing file is detected when it is opened."""

    origin: str
    paths: Sequence[str]
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def open(self, index: int) -> Path:
        """Return the path of the file, which is not read here."""
        return Path(self.paths[index])

    def content_signature(self, index: int) -> str:
        """Return the file's size and a sample of its content."""
        return LocalFile(self.paths[index]).signature()
