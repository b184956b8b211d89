"""`find_copies`: duplicate images in a dataset, which are not independent and make intervals too narrow."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from shapleycam.errors import ImageError, RepeatedImageWarning, warn
from shapleycam.experiments.copies_in_words import describe_copies
from shapleycam.experiments.datasets.dataset import Dataset, pixel_hash
from shapleycam.experiments.datasets.snapshot import Snapshot
from shapleycam.images import raise_image_errors
from shapleycam.regular_files import open_regular_file

_MOST_ALIKE = 1_000
"""Maximum number of images with the same signature; a signature that more images share is not of their content."""


def find_copies(dataset: Dataset, snapshot: Snapshot, *, by_label: bool = False) -> list[tuple[str, str]]:
    """Return pairs of names (copy, original) of images with the same content.

    With `by_label`, copies must also have the same label. This is for evaluations that explain the label's class: an
    image with two labels, such as a mosaic with two explained cells, has two different explanations.

    Only images with equal content signatures are read. Copies with different signatures are not found; for example,
    the signatures of rows in a Parquet file always differ.

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
            key = content, dataset.labels[index] if by_label else None
            if key in first:
                copies.append((index, first[key]))
            first.setdefault(key, index)
    return [(dataset.names[index], dataset.names[original]) for index, original in sorted(copies)]


def warn_of_copies(copies: list[tuple[str, str]]) -> None:
    """Issue a `RepeatedImageWarning` if there are copies."""
    if copies:
        warn(RepeatedImageWarning, describe_copies(copies))


def _content_hash(dataset: Dataset, index: int) -> str | None:
    """Return a hash of an image's file, or of its pixels if it has no file; None if it cannot be read."""
    try:
        with raise_image_errors(dataset.names[index]):
            image = dataset.open(index)
            if isinstance(image, Path):
                return _file_hash(image)
            return pixel_hash(image)
    except (ImageError, OSError):  # reported in the row of the image
        return None


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
