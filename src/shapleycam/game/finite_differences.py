"""Compare derivatives with finite differences, because a backward kernel, or a model's own backward, may be wrong.

Finite differences are wrong at kinks of ReLUs and at steps of quantised heads. So a derivative is refused only if it
differs from differences with two step sizes, these agree with each other, and float64 confirms them (docs/decisions.md,
"Gradients are compared with finite differences, once").
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
"""A function from activations (b, ...) to the utility (b,) of each image, or to its gradient (b, ...)."""

_TOLERANCE = 0.05
"""Relative tolerance between a derivative and a finite difference."""
_STEPS = {torch.float32: (1e-2, 1e-3), torch.float64: (1e-4, 1e-6)}
_FLOAT64_STEP = 1e-6
"""Step of the repetition in float64, so small that hardly any kink lies within it."""
_DIRECTIONS = 2
_ROUNDINGS = 50
"""Rounding error of a difference: this multiple of the machine epsilon times the largest utility or output."""


@dataclass(frozen=True)
class GradientCase:
    """The inputs of the check of a gradient.

    Attributes:
        activation: A (b, ...).
        utility: the utility as a function of the activation, in the activation's precision.
        utility_in_float64: the same function in float64.
        largest: the largest absolute number that the utility is computed from.
    """

    activation: Float[Tensor, "b *shape"]
    utility: FunctionOfActivation
    utility_in_float64: FunctionOfActivation
    largest: float


def check_gradient(case: GradientCase, gradient: Float[Tensor, "b *shape"], layer: str, utility: str) -> None:
    """Compare the slope Σ g·d with (U(A + h·d) - U(A - h·d)) / 2h along random directions d, for each image.

    d is A times random numbers. So the contributions g·A themselves are checked, and activations that are exactly zero
    (behind a ReLU) stay zero. For each axis the random numbers have a part that varies along this axis only: a model
    that reads averages over channels or rows (such as a gate under no_grad) would average independent numbers away.

    Raises:
        DerivativeError: they differ, and the gradient is wrong.
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
    """Return independent random numbers, plus for each axis after the batch axis numbers that vary only along it."""
    images, axes = shape[0], range(1, len(shape))
    numbers = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
    for axis in axes:
        along = [images if dim == 0 else size if dim == axis else 1 for dim, size in enumerate(shape)]
        numbers = numbers + torch.randn(along, generator=generator, dtype=torch.float32, device="cpu")
    return numbers.div(len(shape) ** 0.5)


def _slope_error(case: GradientCase, direction: Tensor, products: Tensor) -> float | None:
    """Return the largest relative error of the slopes; None if they are right, or finite differences cannot decide.

    Args:
        case: the activation and its utility.
        direction: d, of the activation's shape.
        products: g·d, of the same shape; an image's slope is the sum of its products.
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
    # Differences with both step sizes differ from the slope. It is wrong only if they agree with each other ...
    (coarse, noise, _), (fine, fine_noise, differ) = differences
    differ &= differences[0][2] & ~_differ(coarse, fine, scale, noise + fine_noise)
    if not bool(differ.any()):
        return None
    # ... and if float64, with a step too small for kinks, confirms it.
    try:
        precise, noise = _central_difference(
            case.utility_in_float64, case.activation.double(), direction.double(), _FLOAT64_STEP, case.largest
        )
    except ShapleyCamError:  # the model cannot run in float64: rely on the two step sizes
        precise, noise = fine, fine_noise
    differ &= _differ(slopes, precise, scale, noise) & (precise != 0)  # 0: a quantised head, which proves nothing
    if not bool(differ.any()):
        return None
    errors = (slopes - precise).abs() / torch.stack([slopes.abs(), precise.abs(), scale]).amax(0)
    return float(errors[differ].max())


def _central_difference(
    utility: FunctionOfActivation, activation: Tensor, direction: Tensor, step: float, largest: float
) -> tuple[Tensor, float]:
    """Return the central difference (b,) along a direction, and a bound on its rounding error."""
    up, down = utility(activation + step * direction), utility(activation - step * direction)
    precision = torch.finfo(up.dtype).eps
    size = max(largest, float(up.abs().max()), float(down.abs().max()))
    return (up.double() - down.double()) / (2 * step), _ROUNDINGS * precision * size / step


def _differ(first: Tensor, second: Tensor, scale: Tensor, noise: float) -> Tensor:
    return (first - second).abs() > _TOLERANCE * torch.stack([first.abs(), second.abs(), scale]).amax(0) + noise


@dataclass(frozen=True)
class CurvatureCase:
    """The inputs of the check of a second derivative.

    Attributes:
        activation: A (b, ...).
        gradient: the utility's gradient at A.
        product: H·A by autograd.
        gradient_at: the gradient as a function of the activation, in the activation's precision.
        gradient_in_float64_at: the same function in float64.
    """

    activation: Float[Tensor, "b *shape"]
    gradient: Float[Tensor, "b *shape"]
    product: Float[Tensor, "b *shape"]
    gradient_at: FunctionOfActivation
    gradient_in_float64_at: FunctionOfActivation


def check_curvature(case: CurvatureCase, layer: str) -> None:
    """Compare H·A with (g(A + h·A) - g(A - h·A)) / 2h, for a head with custom autograd functions.

    Raises:
        DerivativeError: they differ for each step size, and in float64 with a step too small for kinks.
    """
    if any(_curvature_agrees(case, case.gradient_at, case.activation, step) for step in _STEPS[case.activation.dtype]):
        return
    with suppress(ShapleyCamError):  # the model cannot run in float64: rely on the two step sizes
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
