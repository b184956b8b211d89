"""Derivatives checked against finite differences: backward kernels, and what models write, are not trusted blindly.

Once for a model, a layer, a form of batch and a utility, the gradient's slope along random directions is compared with
the utility's own change, at two step sizes. Only differences that agree with each other, and that a repeat in float64
confirms, refuse a gradient: at kinks and in quantised heads they say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
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
    exactly zero (behind a ReLU) stay there.

    Raises:
        DerivativeError: they are apart, and it is the gradient that is wrong.
    """
    generator = torch.Generator().manual_seed(0)
    for _ in range(2 if len(gradient) == 1 else 1):
        noise = torch.randn(point.activation.shape, generator=generator).to(point.activation)
        direction = point.activation * noise
        wrong = _wrong_slopes(point, direction, gradient * direction)
        if wrong is not None:
            raise DerivativeError(
                f"layer {layer!r}: the gradient of utility {utility!r} there is {wrong:.0%} away from what finite "
                "differences give, also in float64; expected the same: something behind the layer hides from autograd "
                "(no_grad, detach, a custom backward), or a backward kernel is wrong; use sampledshapley, which needs "
                "no gradient, or another layer"
            )


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
    apart &= _is_apart(slopes, precise, scale, noise)
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


def check_curvature(
    activation: Float[Tensor, "b *shape"],
    gradient_at: Evaluate,
    gradient: Float[Tensor, "b *shape"],
    product: Float[Tensor, "b *shape"],
    layer: str,
) -> None:
    """Compare H·A with (g(A + h·A) - g(A - h·A)) / 2h, for a head with functions that autograd cannot vouch for.

    Raises:
        DerivativeError: they are apart at each step size.
    """
    for step in _STEPS[activation.dtype]:
        up, down = gradient_at(activation * (1 + step)), gradient_at(activation * (1 - step))
        difference = (up.double() - down.double()) / (2 * step)
        rounding = _ROUNDINGS * torch.finfo(activation.dtype).eps / step * _norms(gradient)
        larger = torch.maximum(_norms(product), _norms(difference))
        if bool((_norms(product.double() - difference) <= _APART * larger + rounding).all()):
            return
    raise DerivativeError(
        f"layer {layer!r}: a custom autograd function behind the layer has no right second derivative (its backward is "
        "cut off from autograd, or computed elsewhere); use a first-order method (gradcam, hirescam), a path method or "
        "sampledshapley, or a later layer"
    )


def _norms(tensor: Tensor) -> Tensor:
    norms: Tensor = tensor.double().flatten(1).norm(dim=1)
    return norms
