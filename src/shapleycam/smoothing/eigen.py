"""Smoothing "eigen": the first principal component of the channels' terms in a method's sum, in place of the sum.

It is pytorch-grad-cam's `eigen_smooth` with one difference: here the sign of the component is chosen to agree with the
sum over channels, while pytorch-grad-cam takes the sign that LAPACK returns.
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
"""Spreads that already are a first component; smoothing does not change them."""


def smooth_rows(rows: Sequence[Method]) -> list[Method]:
    """Return the methods with spreads that take the first component; `COMPONENTS` are not changed.

    Raises:
        OptionError: a method has no channels.
    """
    without_channels = [row.name for row in rows if row.spread is None]
    if without_channels:
        raise OptionError(
            f"smooth='eigen' takes the first component of a method's channels; without channels, as they have one "
            f"value a position, are {', '.join(without_channels)}: leave them out, or smooth='eigen'"
        )
    return [row if row.spread in COMPONENTS else replace(row, spread=_component_spread(row.spread)) for row in rows]


def channel_products(
    spread: Spread, A: Float[Tensor, "b n k"], D: Float[Tensor, "b n k"], C: Float[Tensor, "b n k"]
) -> Float[Tensor, "b n k"]:
    """Return the terms of a spread's sum over channels, for each position and channel.

    A spread computes each term from one channel alone. So the spread of a single channel is the term of this channel.

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


def _component_spread(spread: Spread | None) -> Spread | None:
    """Return the spread that takes the first component of a spread's terms; None for None."""
    if spread is None:
        return None

    def component(A: Tensor, D: Tensor, C: Tensor) -> Tensor:
        products = channel_products(spread, A, D, C)
        return first_component(products, torch.ones_like(products), products)

    return Spread(f"{spread.name}, first component", component, spread.group)
