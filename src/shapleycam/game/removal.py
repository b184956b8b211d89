"""Removal: what stands in for the content of absent players. It is zero, as in the paper.

A further kind of removal belongs here. The shortcuts rely on zero too: they have to be told of any other kind.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.models.layout import Layout


def remove_absent(
    activation: Float[Tensor, "*rows"], presence: Float[Tensor, "*more positions"], layout: Layout
) -> Tensor:
    """Return an activation whose positions are zero where `presence` is 0 and unchanged where it is 1."""
    return activation * layout.broadcast(presence.to(activation.dtype))


def remove_all(activation: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
    """Return the activation of the empty coalition."""
    return torch.zeros_like(activation)
