"""Smoothing "eigen": the first principal component of what a method's channels give, in place of their sum.

It is pytorch-grad-cam's `eigen_smooth`, with the sign by which the component agrees with the sum over channels, where
that takes the sign of LAPACK's vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.components import first_component
from shapleycam.cams.method import Method
from shapleycam.cams.spreads import FIRST_COMPONENT, KERNEL_COMPONENT, SALIENT_COMPONENT, Spread
from shapleycam.errors import OptionError

COMPONENTS = (FIRST_COMPONENT, SALIENT_COMPONENT, KERNEL_COMPONENT)
"""Spreads that are a first component already, and stay as they are."""


def smooth_rows(rows: Sequence[Method]) -> list[Method]:
    """Return the rows with spreads that take the first component; those that are one already are left as they are.

    Raises:
        OptionError: some methods have no channels to take a component of.
    """
    without_channels = [row.name for row in rows if row.spread is None]
    if without_channels:
        raise OptionError(
            f"smooth='eigen' takes the first component of a method's channels; without channels, as they have one "
            f"value a position, are {', '.join(without_channels)}: leave them out, or smooth='eigen'"
        )
    return [row if row.spread in COMPONENTS else replace(row, spread=_smoothed(row.spread)) for row in rows]


def channel_products(
    spread: Spread, A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"], C: Float[Tensor, "b n k"]
) -> Float[Tensor, "b n k"]:
    """Return what each channel gives to a spread's value of each position: the terms of its sum over channels.

    A spread computes each term from one channel alone, so that it gives the term itself where there is no other.

    Examples:
        >>> import torch
        >>> from shapleycam.cams.spreads import SPREADS
        >>> from shapleycam.smoothing.eigen import channel_products
        >>> A = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> channel_products(SPREADS["elementwise"], A, torch.full_like(A, 10), A)
        tensor([[[10., 20.],
                 [30., 40.]]])
    """
    images, _, channels = A.shape
    alone = [tensor.mT.reshape(images * channels, -1, 1) for tensor in (A, D, C)]
    products: Tensor = spread(*alone).unflatten(0, (images, channels)).mT
    return products


def _smoothed(spread: Spread | None) -> Spread | None:
    if spread is None:
        return None

    def component(A: Tensor, D: Tensor, C: Tensor) -> Tensor:
        products = channel_products(spread, A, D, C)
        return first_component(products, torch.ones_like(products), products)

    return Spread(f"{spread.name}, first component", component, spread.group)
