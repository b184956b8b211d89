"""`distances_to_input`: compares a layer's values, summed over regions of the image, with the input's values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.fidelity._split_values import SplitValues
from shapleycam.fidelity.noise import corrected_correlation
from shapleycam.values.distance import best_scale, linear_correlation, rank_correlation

LAYER_VALUES = "shapley values"
"""The method's name for the layer's own Shapley values."""


@dataclass(frozen=True)
class InputDistance:
    """The distance of a method's values φ̂ at a layer from the input's Shapley values φ, over the regions of an image.

    Attributes:
        image: the image's path or name.
        utility: the name of the utility.
        layer: the layer's dotted name.
        method: the name of the method, or "shapley values" for the layer's own.
        error: min ‖a·φ̂ - φ‖ / ‖φ‖ over scales a ≥ 0; None for a method whose values are not in units of the utility.
        noise_share: the estimated fraction of the squared error that is sampling noise, which may exceed 1; None if
            `error` is.
        pearson: Pearson's correlation; None if `error` is, or if φ̂ or φ is constant.
        pearson_corrected: Pearson's correlation, corrected for sampling noise; None if the noise is too large.
        spearman: Spearman's rank correlation; None if φ̂ or φ is constant.
        spearman_corrected: Spearman's rank correlation, corrected for sampling noise; None if the noise is too large.
        passes: the time of the method, in plain forward passes.
        runs: runs of the head for the layer's own values; None for methods.

    Examples:
        >>> from shapleycam.fidelity import InputDistance
        >>> distance = InputDistance("cat.jpg", "rest", "bn2", "gradcam", 0.5, 0.1, 0.8, 0.85, 0.7, None, passes=1.5)
        >>> distance.pearson_corrected, distance.spearman_corrected
        (0.85, None)
    """

    image: str
    utility: str
    layer: str
    method: str
    error: float | None
    noise_share: float | None
    pearson: float | None
    pearson_corrected: float | None
    spearman: float | None
    spearman_corrected: float | None
    passes: float
    runs: int | None = None


@dataclass(frozen=True)
class MeasuredValues:
    """Values of a method over the regions of b images, and their cost.

    Attributes:
        layer: the layer's dotted name.
        method: the name of the method, or "shapley values" for the layer's own.
        values: the values of the regions.
        is_in_units: whether the values are in units of the utility.
        passes: the time in plain forward passes.
        runs: runs of the head for the layer's own values; None for methods.
    """

    layer: str
    method: str
    values: SplitValues
    is_in_units: bool
    passes: float
    runs: int | None = None


def distances_to_input(
    images: Sequence[str], utility: str, measured: MeasuredValues, true: SplitValues
) -> Iterator[InputDistance]:
    """Yield the distance of measured values from the input's values, for each image.

    Examples:
        >>> import torch
        >>> from shapleycam.fidelity import SplitValues
        >>> from shapleycam.fidelity.input_distance import MeasuredValues, distances_to_input
        >>> true = SplitValues.exact(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([8]), "exact")
        >>> twice = MeasuredValues("bn2", "hirescam", true.map(lambda values: 2 * values), True, passes=1.1)
        >>> [distance] = distances_to_input(["cat.jpg"], "rest", twice, true)
        >>> distance.error, round(distance.pearson, 3), round(distance.spearman, 3)
        (0.0, 1.0, 1.0)
    """
    values, true = (split.map(Tensor.cpu) for split in (measured.values, true))  # values from a file are on the CPU
    errors, noise = _error_and_noise(values, true)
    by_kind = [
        figures.tolist()
        for correlation in (linear_correlation, rank_correlation)
        for figures in (
            correlation(values.values, true.values),
            corrected_correlation(values, true, correlation),
        )
    ]
    rows = zip(images, errors.tolist(), noise.tolist(), *by_kind, strict=True)
    for image, error, noise_share, pearson, pearson_corrected, spearman, spearman_corrected in rows:
        in_units = measured.is_in_units
        yield InputDistance(
            image,
            utility,
            measured.layer,
            measured.method,
            error=_defined(error) if in_units else None,
            noise_share=_defined(noise_share) if in_units else None,
            pearson=_defined(pearson) if in_units else None,
            pearson_corrected=_defined(pearson_corrected) if in_units else None,
            spearman=_defined(spearman),
            spearman_corrected=_defined(spearman_corrected),
            passes=measured.passes,
            runs=measured.runs,
        )


def _error_and_noise(values: SplitValues, true: SplitValues) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Return the relative error after the best rescaling, and the fraction of its square that is noise of both."""
    scale = best_scale(values.values, true.values)
    distance = (scale[:, None] * values.values - true.values).norm(dim=1)
    noise = true.noise.square() + (scale * values.noise).square()
    share: Tensor = torch.where(noise > 0, noise / distance.square(), 0.0)
    return distance / true.values.norm(dim=1), share


def _defined(figure: float) -> float | None:
    return None if isnan(figure) else figure
