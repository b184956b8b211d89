"""Derivatives checked against finite differences: backward kernels, and what models write, are not trusted blindly.

Once for a model, a layer, a form of batch and a utility, the gradient's slope along random directions is compared with
the utility's own change, at two step sizes. Only differences that agree with each other, and that a repeat in float64
confirms, refuse a gradient: at kinks and in quantised heads they say nothing.
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

Evaluate: TypeAlias = "Callable[[Tensor], Tensor]"
"""From activations (b, ...) to the utility (b,) of each image."""

_APART = 0.05
"""Share by which a derivative and the difference may be apart."""
_STEPS = {torch.float32: (1e-2, 1e-3), torch.float64: (1e-4, 1e-6)}
_PRECISE_STEP = 1e-6
"""Of the repeat in float64: so small that hardly any kink lies within it."""
_DIRECTIONS = 2
_ROUNDINGS = 50
"""How many roundings of the largest utility, or output, a difference of two of them is uncertain by."""


@dataclass(frozen=True)
class Point:
    """An activation A (b, ...), how to evaluate the utility there, in its own precision and in float64, and how large
    the numbers are that the utility is computed from.
    """

    activation: Float[Tensor, "b *shape"]
    evaluate: Evaluate
    evaluate_precisely: Evaluate
    largest: float


def check_gradient(point: Point, gradient: Float[Tensor, "b *shape"], layer: str, utility: str) -> None:
    """Compare the slope Σ g·d with (U(A + h·d) - U(A - h·d)) / 2h along random directions d, for each image.

    d is A times random numbers, so that what is checked are the contributions g·A themselves, and activations that are
    exactly zero (behind a ReLU) stay there. The random numbers have a part that is constant along each axis, since what
    a model reads of whole channels or rows (a gate computed under no_grad, say) averages independent ones away.

    Raises:
        DerivativeError: they are apart, and it is the gradient that is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    for _ in range(_DIRECTIONS):
        direction = point.activation * _random_numbers(point.activation.shape, generator).to(point.activation)
        wrong = _wrong_slopes(point, direction, gradient * direction)
        if wrong is not None:
            raise DerivativeError(
                f"layer {layer!r}: the gradient of utility {utility!r} there is {wrong:.0%} away from what finite "
                "differences give, also in float64; expected the same: something behind the layer hides from autograd "
                "(no_grad, detach, a custom backward), or a backward kernel is wrong; use sampledshapley, which needs "
                "no gradient, or another layer"
            )


def _random_numbers(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Independent numbers, plus for each axis behind the batch numbers that depend on the place along it alone."""
    images, axes = shape[0], range(1, len(shape))
    numbers = torch.randn(shape, generator=generator)
    for axis in axes:
        along = [images if dim == 0 else size if dim == axis else 1 for dim, size in enumerate(shape)]
        numbers = numbers + torch.randn(along, generator=generator)
    return numbers.div(len(shape) ** 0.5)


def _wrong_slopes(point: Point, direction: Tensor, products: Tensor) -> float | None:
    """By how much the slopes are wrong, as a share; None where they are right, or differences cannot tell."""
    slopes = products.double().flatten(1).sum(1)
    scale = products.double().flatten(1).norm(dim=1)
    steps = _STEPS[point.activation.dtype]
    differences = []
    for step in steps:
        difference, noise = _difference(point.evaluate, point.activation, direction, step, point.largest)
        apart = _is_apart(slopes, difference, scale, noise)
        if not bool(apart.any()):
            return None
        differences.append((difference, noise, apart))
    (coarse, noise, _), (fine, fine_noise, apart) = differences
    apart &= differences[0][2] & ~_is_apart(coarse, fine, scale, noise + fine_noise)
    if not bool(apart.any()):
        return None
    try:
        precise, noise = _difference(
            point.evaluate_precisely, point.activation.double(), direction.double(), _PRECISE_STEP, point.largest
        )
    except ShapleyCamError:  # the model cannot run in float64: the two step sizes have to do
        precise, noise = fine, fine_noise
    apart &= _is_apart(slopes, precise, scale, noise) & (precise != 0)  # no change at all: a quantised head
    if not bool(apart.any()):
        return None
    errors = (slopes - precise).abs() / torch.stack([slopes.abs(), precise.abs(), scale]).amax(0)
    return float(errors[apart].max())


def _difference(
    evaluate: Evaluate, activation: Tensor, direction: Tensor, step: float, largest: float
) -> tuple[Tensor, float]:
    """The central difference along a direction, and what rounding may make of it."""
    up, down = evaluate(activation + step * direction), evaluate(activation - step * direction)
    precision = torch.finfo(up.dtype).eps
    size = max(largest, float(up.abs().max()), float(down.abs().max()))
    return (up.double() - down.double()) / (2 * step), _ROUNDINGS * precision * size / step


def _is_apart(one: Tensor, other: Tensor, scale: Tensor, noise: float) -> Tensor:
    return (one - other).abs() > _APART * torch.stack([one.abs(), other.abs(), scale]).amax(0) + noise


@dataclass(frozen=True)
class CurvatureCase:
    """An activation A (b, ...), the utility's gradient there, its H·A by autograd, and how to get gradients elsewhere,
    in the activation's own precision and in float64.
    """

    activation: Float[Tensor, "b *shape"]
    gradient: Float[Tensor, "b *shape"]
    product: Float[Tensor, "b *shape"]
    gradient_at: Evaluate
    gradient_precisely_at: Evaluate


def check_curvature(case: CurvatureCase, layer: str) -> None:
    """Compare H·A with (g(A + h·A) - g(A - h·A)) / 2h, for a head with functions that autograd cannot vouch for.

    Raises:
        DerivativeError: they are apart at each step size, also in float64 at a step too small for kinks.
    """
    if any(_curvature_agrees(case, case.gradient_at, case.activation, step) for step in _STEPS[case.activation.dtype]):
        return
    with suppress(ShapleyCamError):  # the model cannot run in float64: the two step sizes have to do
        if _curvature_agrees(case, case.gradient_precisely_at, case.activation.double(), _PRECISE_STEP):
            return
    raise DerivativeError(
        f"layer {layer!r}: a custom autograd function behind the layer has no right second derivative (its backward is "
        "cut off from autograd, or computed elsewhere); use a first-order method (gradcam, hirescam), a path method or "
        "sampledshapley, or a later layer"
    )


def _curvature_agrees(case: CurvatureCase, gradient_at: Evaluate, activation: Tensor, step: float) -> bool:
    up, down = gradient_at(activation * (1 + step)), gradient_at(activation * (1 - step))
    difference = (up.double() - down.double()) / (2 * step)
    rounding = _ROUNDINGS * torch.finfo(activation.dtype).eps / step * _norms(case.gradient)
    larger = torch.maximum(_norms(case.product), _norms(difference))
    return bool((_norms(case.product.double() - difference) <= _APART * larger + rounding).all())


def _norms(tensor: Tensor) -> Tensor:
    norms: Tensor = tensor.double().flatten(1).norm(dim=1)
    return norms
