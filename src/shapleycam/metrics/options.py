"""`MetricOptions`: the options of metrics, which are stored with the results."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from shapleycam.errors import OptionError

MaskSpace = Literal["normalised", "pixels"]
Baseline = Literal["zero", "mean", "blur"]

_RANGES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (
        ("steps", "blur_size", "sensitivity_draws", "randomised_stages", "smooth_draws"),
        lambda n: isinstance(n, int) and n >= 1,
        "1 or more, a whole number",
    ),
    (("saco_groups", "deletion_grid"), lambda n: isinstance(n, int) and n >= 2, "2 or more, a whole number"),
    (("seed",), lambda n: isinstance(n, int), "a whole number"),
    (("blur_sigma", "shapley_tolerance"), lambda x: _is_number(x) and x > 0, "a number above 0"),
    (
        ("road_noise", "pointing_tolerance", "sensitivity_radius", "smooth_noise"),
        lambda x: _is_number(x) and x >= 0,
        "0 or more",
    ),
    (
        ("percentiles",),
        lambda xs: isinstance(xs, tuple) and len(xs) > 0 and all(_is_number(x) and 0 < x < 100 for x in xs),
        "a tuple of numbers between 0 and 100",
    ),
)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


@dataclass(frozen=True)
class MetricOptions:
    """How metrics change images and draw random numbers; the defaults are those of the published tables.

    Attributes:
        mask_space: the space in which the mask multiplies: "normalised" replaces hidden pixels by the mean colour of
            the training data, "pixels" by black.
        baseline: the content of hidden pixels: "zero", "mean" (the image's own mean colour) or "blur".
        blur_size: the size of the blur from which insertion starts, an odd number of pixels.
        blur_sigma: the standard deviation of this blur, in pixels.
        steps: the number of equal steps of insertion and deletion (28: 224 · 8 pixels each at 224 x 224).
        percentiles: the percentiles of pixels that ROAD removes.
        road_noise: the standard deviation of the noise that is added to pixels that ROAD imputes.
        pointing_tolerance: the tolerance of the pointing game, in pixels of the input.
        sensitivity_radius: the radius of the changes of the image, in normalised units.
        sensitivity_draws: the number of images that are drawn within the radius.
        randomised_stages: the number of equal parts of layers that are re-initialised one after the other, from the
            output on.
        smooth_draws: the number of noisy images over which the smooth randomisation test averages values.
        smooth_noise: the standard deviation of their noise, as a share of the range of each image's numbers.
        shapley_tolerance: the relative standard error of true values that are sampled.
        saco_groups: the number of groups of equal size into which SaCo divides the pixels.
        deletion_grid: single deletion and infidelity remove grid · grid patches, one after the other.
        seed: the seed of all random draws, together with each image's content.

    Examples:
        >>> from shapleycam.metrics import MetricOptions
        >>> MetricOptions(baseline="blur").baseline
        'blur'
    """

    mask_space: MaskSpace = "normalised"
    baseline: Baseline = "zero"
    blur_size: int = 11
    blur_sigma: float = 5.0
    steps: int = 28
    percentiles: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 70, 80, 90)
    road_noise: float = 0.01
    pointing_tolerance: float = 15.0
    sensitivity_radius: float = 0.02
    sensitivity_draws: int = 10
    randomised_stages: int = 4
    smooth_draws: int = 10
    smooth_noise: float = 0.1
    shapley_tolerance: float = 0.005
    saco_groups: int = 10
    deletion_grid: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            OptionError: a value is not allowed; the message names the option and what was expected.
        """
        for name, kind in (("mask_space", MaskSpace), ("baseline", Baseline)):
            if getattr(self, name) not in get_args(kind):
                choices = ", ".join(map(repr, get_args(kind)))
                raise OptionError(f"{name} is {getattr(self, name)!r}; expected one of {choices}")
        for names, fits, expected in _RANGES:
            for name in names:
                if not fits(getattr(self, name)):
                    raise OptionError(f"{name} is {getattr(self, name)!r}; expected {expected}")
        if self.blur_size % 2 == 0:
            raise OptionError(f"blur_size is {self.blur_size}; expected an odd number of pixels")
