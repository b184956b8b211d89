"""Whether the places of a layer's grid are places of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.layers.audit import Candidate
from shapleycam.trace.calls import activation_in
from shapleycam.trace.differentiation import Differentiation
from shapleycam.trace.extra import NO_EXTRA, ExtraInputs
from shapleycam.trace.isolation import intercepted, isolated, run

_LOCAL = 0.1
"""How much more of its energy the gradient of one half must have there than that of the other half has."""


_LARGER = 1.5


def is_local(
    model: nn.Module, image: Float[Tensor, "1 *image"], candidate: Candidate, extra: ExtraInputs = NO_EXTRA
) -> bool:
    """Whether the places of a candidate's grid are places of the image: each half of it depends more than the other
    half on its own half of the image. So a detector's queries, or tokens in another order, are told apart.
    """
    kept: list[Tensor] = []
    leaf = image.detach().clone().requires_grad_()

    def keep(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        kept.append(activation_in(value, candidate.name))
        return value

    with isolated(model) as copied, Differentiation(twice=False), torch.enable_grad():
        with intercepted({copied.get_submodule(candidate.name): keep}):
            run(copied, leaf, extra)
        positions = candidate.layout.positions(kept[0])
        signs = torch.randint(0, 2, positions.shape[2:], generator=torch.Generator().manual_seed(0)) * 2 - 1
        cells = candidate.layout.cells((positions * signs.to(positions)).sum(2))
        return all(_is_local_along(cells, leaf, axis) for axis in range(-cells.dim() + 1, 0) if cells.shape[axis] > 1)


def takes_another_size(model: nn.Module, image: Float[Tensor, "1 *image"], extra: ExtraInputs = NO_EXTRA) -> bool:
    """Whether the model runs on larger images too: then its tokens have no table of places (LeViT's attention biases),
    and show by themselves whether they are places of the image.
    """
    larger = torch.nn.functional.interpolate(image.detach().float(), scale_factor=_LARGER)
    try:
        with isolated(model) as copied:
            run(copied, larger, extra)
    except ModelError:
        return False
    return True


def _is_local_along(cells: Tensor, leaf: Tensor, axis: int) -> bool:
    shares = []
    size = cells.shape[axis] // 2
    for start in (0, cells.shape[axis] - size):
        (gradient,) = torch.autograd.grad(
            cells.narrow(axis, start, size).sum(), leaf, retain_graph=True, materialize_grads=True
        )
        energy = gradient.square()
        shares.append(float(energy.narrow(axis, 0, leaf.shape[axis] // 2).sum() / energy.sum()))
    return shares[0] - shares[1] > _LOCAL
