"""Test by gradients whether the cells of a layer's grid are places of the image, if its operations do not prove it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.models.layout import Layout
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.interception import intercept_calls
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.layer_output import activation_in
from shapleycam.tracing.running import run

_MAX_CELLS = 1024
"""Maximum number of cells, since each cell takes a backward pass."""
_LEAST_SHARE = 0.5
"""Minimum dependence of a cell on its own place, relative to the place on which it depends most."""
_LEAST_CONTRAST = 1.5
"""Minimum dependence of a cell on its own place, relative to the mean over all places (1 for uniform attention)."""


def is_local(
    model: nn.Module,
    image: Float[Tensor, "1 *image"],
    layer: str,
    layout: Layout,
    extra: ExtraInputs = NO_EXTRA,
) -> bool:
    """Return whether each cell of a layer depends most on its own place in the image, or on a neighbouring place.

    It is False for tokens in another order, a detector's queries, and channels, and for networks whose cells are all
    alike. Each cell is tested by its own gradient (docs/decisions.md, "Behind an operation that nobody knows each cell
    is tried out").
    """
    if layout.count > _MAX_CELLS or image.dim() - 2 != len(layout.grid):
        return False
    cell_sums: list[Tensor] = []
    leaf = image.detach().clone().requires_grad_()

    def keep_cells(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        positions = layout.positions(activation_in(value, layer))
        signs = (
            torch.randint(0, 2, positions.shape[2:], generator=torch.Generator().manual_seed(0), device="cpu") * 2 - 1
        )
        cell_sums.append(layout.cells((positions * signs.to(positions)).sum(2)).flatten())
        return value

    try:
        with isolated_copy(model) as copied, Differentiation(twice=False), torch.enable_grad():
            with intercept_calls({copied.get_submodule(layer): keep_cells}):
                run(copied, leaf, extra)
            return all(_depends_on_own_place(cell, i, leaf, layout.grid) for i, cell in enumerate(cell_sums[0]))
    except (RuntimeError, LayerError):  # without a derivative nothing is shown
        return False


def _depends_on_own_place(cell: Tensor, index: int, leaf: Tensor, grid: tuple[int, ...]) -> bool:
    """Return whether a cell depends most on its own place, or on a neighbouring place."""
    (gradient,) = torch.autograd.grad(cell, leaf, retain_graph=True, materialize_grads=True)
    pool = nn.functional.adaptive_avg_pool3d if len(grid) == 3 else nn.functional.adaptive_avg_pool2d
    energy = pool(gradient.square().sum(1), grid)[0]  # type: ignore[arg-type]  # a tuple of as many sides
    strongest = torch.unravel_index(energy.argmax(), grid)
    own_place = torch.unravel_index(torch.tensor(index, device="cpu"), grid)
    is_near = all(abs(int(a) - int(b)) <= 1 for a, b in zip(strongest, own_place, strict=True))
    least = max(_LEAST_SHARE * float(energy.max()), _LEAST_CONTRAST * float(energy.mean()))
    return is_near and float(energy[own_place]) >= least > 0
