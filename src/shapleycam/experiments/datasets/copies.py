"""Images of a dataset that are copies of earlier ones: no further observations, so that intervals are too narrow."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image

from shapleycam.errors import ImageError, RepeatedImageWarning, warn
from shapleycam.experiments.copies_in_words import describe_copies
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.snapshot import Snapshot
from shapleycam.images import raise_image_errors
from shapleycam.regular_files import open_regular_file

_MOST_ALIKE = 1_000
"""A signature that more images share is not of their content, such as one fingerprint for a whole dataset."""


def find_copies(dataset: Dataset, snapshot: Snapshot, *, by_label: bool = False) -> list[tuple[str, str]]:
    """Return the names of the images that are copies of earlier ones, each with that of the first.

    With `by_label` copies have the same label too: where it is the class that is explained, one image with two labels,
    as a mosaic of which two cells are asked about, is two questions.

    Only images with equal content signatures are read: copies that the signatures of a dataset tell apart, as those of
    rows of a Parquet file do, are not found.

    Examples:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> from matplotlib.cbook import get_sample_data
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> from shapleycam.experiments.datasets.snapshot import take_snapshot
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a.jpg", "b.jpg"):
        ...         _ = shutil.copy(get_sample_data("grace_hopper.jpg", asfileobj=False), Path(folder, name))
        ...     dataset = open_dataset(folder)
        ...     find_copies(dataset, take_snapshot(dataset))
        [('b.jpg', 'a.jpg')]
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for index, signature in enumerate(snapshot.hashes.tolist()):
        alike[signature].append(index)
    copies = []
    for indices in alike.values():
        if not 1 < len(indices) <= _MOST_ALIKE:
            continue
        first: dict[tuple[str, Any], int] = {}
        for index in indices:
            content = _content_hash(dataset, index)
            if content is None:
                continue
            question = content, dataset.labels[index] if by_label else None
            if question in first:
                copies.append((index, first[question]))
            first.setdefault(question, index)
    return [(dataset.names[index], dataset.names[original]) for index, original in sorted(copies)]


def warn_of_copies(copies: list[tuple[str, str]]) -> None:
    """Issue a `RepeatedImageWarning` where there are copies."""
    if copies:
        warn(RepeatedImageWarning, describe_copies(copies))


def _content_hash(dataset: Dataset, index: int) -> str | None:
    """Return a hash of an image's file, or of its pixels where it is in no file; None where it cannot be read."""
    try:
        with raise_image_errors(dataset.names[index]):
            image = dataset.open(index)
            if isinstance(image, Path):
                return _file_hash(image)
            return _pixel_hash(image)
    except (ImageError, OSError):  # the row of the image says so
        return None


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _pixel_hash(image: Image.Image) -> str:
    palette = bytes(image.getpalette("RGBA") or ()) if image.mode == "P" else b""
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + palette + image.tobytes()).hexdigest()
