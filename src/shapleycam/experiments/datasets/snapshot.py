"""`Snapshot`: hashes of a dataset's content when a run began, which show later changes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapleycam.experiments.datasets.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The fingerprint of a dataset, and a hash of 8 bytes of each image's content signature."""

    fingerprint: str
    hashes: NDArray[np.uint64]

    def differs(self, dataset: Dataset, index: int) -> bool:
        """Return whether an image's content has changed since the snapshot."""
        return bool(self.hashes[index] != _hash(dataset.content_signature(index)))


def take_snapshot(dataset: Dataset) -> Snapshot:
    """Return the snapshot of a dataset; each content signature is computed once.

    Examples:
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> dataset = open_dataset(get_sample_data("grace_hopper.jpg", asfileobj=False))
        >>> snapshot = take_snapshot(dataset)
        >>> snapshot.fingerprint == dataset.fingerprint(), snapshot.differs(dataset, 0)
        (True, False)
    """
    hashes = np.empty(len(dataset), dtype=np.uint64)

    def signature(index: int) -> str:
        text = dataset.content_signature(index)
        hashes[index] = _hash(text)
        return text

    fingerprint = dataset.fingerprint(signature)
    return Snapshot(fingerprint, hashes)


def _hash(signature: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(signature.encode()).digest()[:8], "little"))
