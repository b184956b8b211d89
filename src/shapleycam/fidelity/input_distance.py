"""How far values of a layer, summed over regions of the image, are from the input's own Shapley values of them."""

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
"""In place of a method's name: the layer's own Shapley values."""


@dataclass(frozen=True)
class InputDistance:
    """How far one method's values at a layer are from the input's Shapley values of one image, over its regions.

    Attributes:
        image: its path or name.
        utility: the name of the utility.
        layer: the layer's dotted name.
        method: the name of the method, or "shapley values" for the layer's own.
        error: min ‖a·φ̂ - φ‖ / ‖φ‖ over scales a ≥ 0; None for a method that is not in units of the utility.
        noise_share: the share of the error's square that is sampling noise; it is an estimate, and may exceed 1. None
            as `error`.
        pearson: Pearson's correlation; None as `error`, and where one side is constant.
        pearson_corrected: the same without the loss to sampling noise; None where it is not resolved.
        spearman: Spearman's rank correlation; None where one side is constant.
        spearman_corrected: the same without the loss to sampling noise; None where it is not resolved.
        passes: the time that the method takes, in plain forward passes.
        runs: the coalitions that the layer's own values took; None for methods.

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
    """Values of a method over the regions of b images, and what they took.

    `is_in_units` says whether they are in units of the utility; `passes` is their time in plain forward passes; `runs`
    are the coalitions that the layer's own values took.
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
    """Yield the distance of measured values from the input's own, image by image.

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
    errors, noise = _error_and_noise(measured.values, true)
    by_kind = [
        figures.tolist()
        for correlation in (linear_correlation, rank_correlation)
        for figures in (
            correlation(measured.values.values, true.values),
            corrected_correlation(measured.values, true, correlation),
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
    """Return the relative error after the best scale, and the share of its square that is noise of both sides."""
    scale = best_scale(values.values, true.values)
    distance = (scale[:, None] * values.values - true.values).norm(dim=1)
    noise = true.noise.square() + (scale * values.noise).square()
    share: Tensor = torch.where(noise > 0, noise / distance.square(), 0.0)
    return distance / true.values.norm(dim=1), share


def _defined(figure: float) -> float | None:
    return None if isnan(figure) else figure
