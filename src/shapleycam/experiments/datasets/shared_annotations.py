"""Check that no annotation matches several different photographs because these have the same name."""

from __future__ import annotations

from collections import defaultdict

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.regions import Annotations
from shapleycam.experiments.datasets.snapshot import Snapshot


def check_annotations_are_not_shared(dataset: Dataset, annotations: Annotations, snapshot: Snapshot) -> None:
    """Refuse an annotation that matches several photographs of different content by their common name.

    Copies of the same photograph, for example in the folders of two classes, may share an annotation.

    Raises:
        OptionError: there is such an annotation.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from shapleycam.experiments.datasets.annotations.opening import open_annotations
        >>> from shapleycam.experiments.datasets.opening import open_dataset
        >>> from shapleycam.experiments.datasets.snapshot import take_snapshot
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for path, colour in (("photos/cat/1.png", "red"), ("photos/dog/1.png", "blue"), ("masks/1.png", 1)):
        ...         Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
        ...         Image.new("RGB" if "photos" in path else "L", (8, 8), colour).save(Path(folder, path))
        ...     dataset = open_dataset(f"{folder}/photos")
        ...     annotations = open_annotations(f"{folder}/masks")
        ...     try:
        ...         check_annotations_are_not_shared(dataset, annotations, take_snapshot(dataset))
        ...     except OptionError as error:
        ...         "cat/1.png and dog/1.png" in str(error)
        True
    """
    by_source: dict[object, list[int]] = defaultdict(list)
    for index, name in enumerate(dataset.names):
        try:
            source = annotations.source_of(name)
        except ImageError:  # several annotations match; reported in the row of the photograph
            continue
        if source is not None:
            by_source[source].append(index)
    for indices in by_source.values():
        first, *others = indices
        for other in others:
            if snapshot.hashes[first] != snapshot.hashes[other]:
                raise OptionError(
                    f"{annotations.origin}: one annotation for the photographs {dataset.names[first]} and "
                    f"{dataset.names[other]}, found by the name that both have; name photographs and annotations "
                    "alike, with their sub-folders"
                )
