"""`describe_pending`: the sentence about images that a run has not measured yet, for tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pending:
    """The number of images that are not measured yet for a model, out of `images`."""

    model: str
    count: int
    images: int


def describe_pending(pending: Sequence[Pending]) -> str:
    """Return a text that names the models of unfinished runs with the number of missing images; "" if there are none.

    Examples:
        >>> from shapleycam.experiments.pending_in_words import Pending, describe_pending
        >>> describe_pending([Pending("vgg16", 8, 40), Pending("resnet18", 8, 40)])[:58]
        'Not finished: 8 of 40 images are not measured yet (vgg16, '
    """
    models: dict[tuple[int, int], list[str]] = {}
    for each in pending:
        models.setdefault((each.count, each.images), []).append(each.model)
    parts = [
        f"{count:,} of {images:,} images are not measured yet ({', '.join(dict.fromkeys(names))})"
        for (count, images), names in models.items()
    ]
    if not parts:
        return ""
    return f"Not finished: {'; '.join(parts)}. The figures are those of the others; the same command goes on."
