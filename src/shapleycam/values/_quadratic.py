"""Quadratic functions of a few numbers, fitted to the gradients of a function at some points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_RIDGE = 1e-3
"""Ridge penalty on the curvature, relative to the mean variance of the coordinates, for directions with little data."""


@dataclass(frozen=True)
class Quadratic:
    """The function a + b·(z - m) + (z - m)·C·(z - m) / 2."""

    constant: Float[Tensor, ""]
    slope: Float[Tensor, " r"]
    curvature: Float[Tensor, "r r"]
    middle: Float[Tensor, " r"]

    def value(self, z: Float[Tensor, "*rows r"]) -> Float[Tensor, "*rows"]:
        """Return the function at points."""
        away = z - self.middle
        values: Tensor = self.constant + (away * (self.slope + away @ self.curvature / 2)).sum(-1)
        return values

    @property
    def intercept(self) -> Float[Tensor, ""]:
        """Return the value of the linear part at z = 0."""
        return self.constant - self.slope @ self.middle

    @property
    def curved(self) -> Quadratic:
        """Return the function without its linear part."""
        return Quadratic(self.constant * 0, self.slope * 0, self.curvature, self.middle)

    def to(self, like: Tensor) -> Quadratic:
        """Return the same function on the device and in the type of `like`."""
        parts = (self.constant, self.slope, self.curvature, self.middle)
        return Quadratic(*(part.to(like) for part in parts))


def fit_quadratic(z: Float[Tensor, "s r"], values: Float[Tensor, " s"], gradients: Float[Tensor, "s r"]) -> Quadratic:
    """Return the quadratic function whose gradients fit those at the points best, and whose mean value is right.

    Examples:
        >>> import torch
        >>> from shapleycam.values._quadratic import fit_quadratic
        >>> z = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
        >>> square = fit_quadratic(z, z[:, 0] ** 2, 2 * z)
        >>> square.value(torch.tensor([[3.0]], dtype=torch.float64)).round(decimals=1)
        tensor([9.], dtype=torch.float64)
    """
    middle = z.mean(0)
    away = torch.cat([torch.ones_like(z[:, :1]), z - middle], 1)
    ridge = _RIDGE * away[:, 1:].square().sum(0).mean() * torch.eye(away.shape[1], dtype=z.dtype, device=z.device)
    ridge[0, 0] = 0
    fitted = torch.linalg.pinv(away.mT @ away + ridge, hermitian=True) @ away.mT @ gradients
    curvature = (fitted[1:] + fitted[1:].mT) / 2
    shape = Quadratic(values.new_zeros(()), fitted[0], curvature, middle)
    return Quadratic((values - shape.value(z)).mean(), shape.slope, shape.curvature, middle)
