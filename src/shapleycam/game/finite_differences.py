"""Checks of derivatives against finite differences: backward kernels, and what models write, may be wrong.

Differences of one step size meet kinks of ReLUs, and steps of quantised heads. So only differences of two step sizes
that agree with each other, and that a repeat in float64 confirms, refuse a derivative (docs/decisions.md, "Gradients
are compared with finite differences, once").
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import DerivativeError, ShapleyCamError
from shapleycam.wording import percent

FunctionOfActivation: TypeAlias = "Callable[[Tensor], Tensor]"
"""From activations (b, ...) to the utility (b,) of each image, or to its gradient (b, ...)."""

_TOLERANCE = 0.05
"""Share by which a derivative and the difference may differ."""
_STEPS = {torch.float32: (1e-2, 1e-3), torch.float64: (1e-4, 1e-6)}
_FLOAT64_STEP = 1e-6
"""Step of the repeat in float64: so small that hardly any kink lies within it."""
_DIRECTIONS = 2
_ROUNDINGS = 50
"""How many roundings of the largest utility, or output, a difference of two of them is uncertain by."""


@dataclass(frozen=True)
class GradientCase:
    """What the check of a gradient needs.

    `activation` A (b, ...); the utility as a function of it, in its own precision and in float64; and the size of the
    largest number that the utility is computed from.
    """

    activation: Float[Tensor, "b *shape"]
    utility: FunctionOfActivation
    utility_in_float64: FunctionOfActivation
    largest: float


def check_gradient(case: GradientCase, gradient: Float[Tensor, "b *shape"], layer: str, utility: str) -> None:
    """Compare the slope Σ g·d with (U(A + h·d) - U(A - h·d)) / 2h along random directions d, for each image.

    d is A times random numbers, so that what is checked are the contributions g·A themselves, and activations that are
    exactly zero (behind a ReLU) stay there. The random numbers have a part that is constant along each axis, since what
    a model reads of whole channels or rows (a gate computed under no_grad, say) averages independent ones away.

    Raises:
        DerivativeError: they differ, and it is the gradient that is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    for _ in range(_DIRECTIONS):
        direction = case.activation * _random_numbers(case.activation.shape, generator).to(case.activation)
        error = _slope_error(case, direction, gradient * direction)
        if error is not None:
            raise DerivativeError(
                f"layer {layer!r}: the gradient of utility {utility!r} there is {percent(error)} away from what finite "
                "differences give, also in float64; expected the same: something behind the layer hides from autograd "
                "(no_grad, detach, a custom backward), or a backward kernel is wrong; use sampledshapley, which needs "
                "no gradient, or another layer"
            )


def _random_numbers(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return independent numbers, plus for each axis behind the batch numbers that vary along that axis alone."""
    images, axes = shape[0], range(1, len(shape))
    numbers = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
    for axis in axes:
        along = [images if dim == 0 else size if dim == axis else 1 for dim, size in enumerate(shape)]
        numbers = numbers + torch.randn(along, generator=generator, dtype=torch.float32, device="cpu")
    return numbers.div(len(shape) ** 0.5)


def _slope_error(case: GradientCase, direction: Tensor, products: Tensor) -> float | None:
    """Return the largest relative error of the slopes, None where they are right or differences cannot tell.

    Args:
        case: the activation and its utility.
        direction: d, of the activation's shape.
        products: g·d, of the same shape, whose sum is an image's slope.
    """
    slopes = products.double().flatten(1).sum(1)
    scale = products.double().flatten(1).norm(dim=1)
    steps = _STEPS[case.activation.dtype]
    differences = []
    for step in steps:
        difference, noise = _central_difference(case.utility, case.activation, direction, step, case.largest)
        differ = _differ(slopes, difference, scale, noise)
        if not bool(differ.any()):
            return None
        differences.append((difference, noise, differ))
    # Both step sizes differ from the slope. It is wrong only where they also agree with each other ...
    (coarse, noise, _), (fine, fine_noise, differ) = differences
    differ &= differences[0][2] & ~_differ(coarse, fine, scale, noise + fine_noise)
    if not bool(differ.any()):
        return None
    # ... and where float64, with a step too small for kinks, says the same.
    try:
        precise, noise = _central_difference(
            case.utility_in_float64, case.activation.double(), direction.double(), _FLOAT64_STEP, case.largest
        )
    except ShapleyCamError:  # the model cannot run in float64: the two step sizes have to do
        precise, noise = fine, fine_noise
    differ &= _differ(slopes, precise, scale, noise) & (precise != 0)  # no change at all: a quantised head
    if not bool(differ.any()):
        return None
    errors = (slopes - precise).abs() / torch.stack([slopes.abs(), precise.abs(), scale]).amax(0)
    return float(errors[differ].max())


def _central_difference(
    utility: FunctionOfActivation, activation: Tensor, direction: Tensor, step: float, largest: float
) -> tuple[Tensor, float]:
    """Return the central difference (b,) along a direction, and how far rounding may move it."""
    up, down = utility(activation + step * direction), utility(activation - step * direction)
    precision = torch.finfo(up.dtype).eps
    size = max(largest, float(up.abs().max()), float(down.abs().max()))
    return (up.double() - down.double()) / (2 * step), _ROUNDINGS * precision * size / step


def _differ(first: Tensor, second: Tensor, scale: Tensor, noise: float) -> Tensor:
    return (first - second).abs() > _TOLERANCE * torch.stack([first.abs(), second.abs(), scale]).amax(0) + noise


@dataclass(frozen=True)
class CurvatureCase:
    """What the check of a second derivative needs.

    `activation` A (b, ...); the utility's gradient there; the product H·A by autograd; and the gradient as a function
    of the activation, in its own precision and in float64.
    """

    activation: Float[Tensor, "b *shape"]
    gradient: Float[Tensor, "b *shape"]
    product: Float[Tensor, "b *shape"]
    gradient_at: FunctionOfActivation
    gradient_in_float64_at: FunctionOfActivation


def check_curvature(case: CurvatureCase, layer: str) -> None:
    """Compare H·A with (g(A + h·A) - g(A - h·A)) / 2h, for a head with functions that autograd cannot vouch for.

    Raises:
        DerivativeError: they differ at each step size, also in float64 at a step too small for kinks.
    """
    if any(_curvature_agrees(case, case.gradient_at, case.activation, step) for step in _STEPS[case.activation.dtype]):
        return
    with suppress(ShapleyCamError):  # the model cannot run in float64: the two step sizes have to do
        if _curvature_agrees(case, case.gradient_in_float64_at, case.activation.double(), _FLOAT64_STEP):
            return
    raise DerivativeError(
        f"layer {layer!r}: a custom autograd function behind the layer has no right second derivative (its backward is "
        "cut off from autograd, or computed elsewhere); use a first-order method (gradcam, hirescam), a path method or "
        "sampledshapley, or a later layer"
    )


def _curvature_agrees(case: CurvatureCase, gradient_at: FunctionOfActivation, activation: Tensor, step: float) -> bool:
    up, down = gradient_at(activation * (1 + step)), gradient_at(activation * (1 - step))
    difference = (up.double() - down.double()) / (2 * step)
    rounding = _ROUNDINGS * torch.finfo(activation.dtype).eps / step * _norms(case.gradient)
    larger = torch.maximum(_norms(case.product), _norms(difference))
    return bool((_norms(case.product.double() - difference) <= _TOLERANCE * larger + rounding).all())


def _norms(tensor: Tensor) -> Tensor:
    """Return the norm (b,) of each image's numbers."""
    norms: Tensor = tensor.double().flatten(1).norm(dim=1)
    return norms
