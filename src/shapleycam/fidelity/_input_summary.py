"""`input_summary`: averages distances to the input's values over images, for each layer and method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from shapleycam.fidelity._summary import Mean
from shapleycam.fidelity.input_distance import InputDistance


@dataclass(frozen=True)
class InputSummary:
    """Mean distances of one method at one layer with one utility, over images.

    Each mean is over the images for which the number is defined, and has their count. A corrected correlation is not
    defined for an image whose noise is too large. A mean is None if its number is defined for no image.

    Attributes:
        utility: the name of the utility.
        layer: the layer's dotted name.
        method: the name of the method, or "shapley values" for the layer's own.
        images: the number of images.
        error: the relative error after the best rescaling.
        noise_share: the fraction of the squared error that is sampling noise.
        pearson: Pearson's correlation.
        pearson_corrected: Pearson's correlation, corrected for sampling noise.
        spearman: Spearman's rank correlation.
        spearman_corrected: Spearman's rank correlation, corrected for sampling noise.
        passes: the time in plain forward passes.
        runs: runs of the head for the layer's own values.

    Examples:
        >>> from shapleycam.fidelity import InputDistance, input_summary
        >>> distances = [InputDistance("a", "rest", "bn2", "gradcam", 0.5, 0.1, 0.8, None, 0.7, 0.75, passes=1.5)]
        >>> [row] = input_summary(distances)
        >>> row.spearman_corrected.value, row.pearson_corrected
        (0.75, None)
    """

    utility: str
    layer: str
    method: str
    images: int
    error: Mean | None
    noise_share: Mean | None
    pearson: Mean | None
    pearson_corrected: Mean | None
    spearman: Mean | None
    spearman_corrected: Mean | None
    passes: Mean | None
    runs: Mean | None


def input_summary(distances: Sequence[InputDistance]) -> list[InputSummary]:
    """Return a row for each utility, layer and method, in the order of their first distance.

    Examples:
        >>> from shapleycam.fidelity import InputDistance, input_summary
        >>> distances = [
        ...     InputDistance(image, "rest", "bn2", "gradcam", error, 0.1, 0.8, 0.9, 0.7, 0.75, passes=1.5)
        ...     for image, error in {"a": 0.3, "b": 0.5}.items()
        ... ]
        >>> [(row.images, row.error.value) for row in input_summary(distances)]
        [(2, 0.4)]
    """
    groups: dict[tuple[str, str, str], list[InputDistance]] = {}
    for distance in distances:
        groups.setdefault((distance.utility, distance.layer, distance.method), []).append(distance)
    return [
        InputSummary(
            *names,
            images=len(group),
            error=Mean.of(d.error for d in group),
            noise_share=Mean.of(d.noise_share for d in group),
            pearson=Mean.of(d.pearson for d in group),
            pearson_corrected=Mean.of(d.pearson_corrected for d in group),
            spearman=Mean.of(d.spearman for d in group),
            spearman_corrected=Mean.of(d.spearman_corrected for d in group),
            passes=Mean.of(d.passes for d in group),
            runs=Mean.of(d.runs for d in group),
        )
        for names, group in groups.items()
    ]


def nearest_first(rows: Sequence[InputSummary]) -> list[InputSummary]:
    """Return the rows sorted by utility, then by rank correlation, highest first.

    The rank correlation is the only number that does not require values in units of the utility.

    Examples:
        >>> from shapleycam.fidelity import InputDistance, input_summary
        >>> from shapleycam.fidelity._input_summary import nearest_first
        >>> distances = [
        ...     InputDistance("a", "rest", "bn2", method, 0.5, 0.1, 0.8, 0.9, spearman, None, passes=1.5)
        ...     for method, spearman in {"gradcam": 0.3, "hirescam": 0.6}.items()
        ... ]
        >>> [row.method for row in nearest_first(input_summary(distances))]
        ['hirescam', 'gradcam']
    """
    order = {utility: index for index, utility in enumerate(dict.fromkeys(row.utility for row in rows))}
    return sorted(rows, key=lambda row: (order[row.utility], -(-inf if row.spearman is None else row.spearman.value)))
