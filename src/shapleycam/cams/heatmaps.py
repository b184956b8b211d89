"""From signed values to a heatmap in [0, 1] at the size of the input, as the paper's code scales it."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

_EPSILON = 1e-7


def heatmap(values: Float[Tensor, "b *grid"], size: tuple[int, ...]) -> Float[Tensor, "b *size"]:
    """Return a heatmap in [0, 1] of `size`, (height, width) or with the depth before them.

    That is ReLU, min-max at native size, (tri)linear resize, min-max again, as in arXiv:2501.06261.

    Examples:
        >>> import torch
        >>> heatmap(torch.tensor([[[-1.0, 2.0]]]), (1, 2)).round(decimals=2)
        tensor([[[0., 1.]]])
    """
    return min_max(resize(min_max(values.relu()), size))


def resize(values: Float[Tensor, "b *grid"], size: tuple[int, ...]) -> Float[Tensor, "b *size"]:
    """Return values at another size, by (tri)linear interpolation."""
    mode = "trilinear" if len(size) == 3 else "bilinear"
    return interpolate(values[:, None], size=size, mode=mode, align_corners=False)[:, 0]


def min_max(maps: Float[Tensor, "b *grid"]) -> Float[Tensor, "b *grid"]:
    """Return each map scaled to [0, 1]: (x - min) / (1e-7 + max(x - min)); zeros for a constant one."""
    dims = tuple(range(1, maps.dim()))
    lowest, highest = maps.amin(dims, keepdim=True), maps.amax(dims, keepdim=True)
    # Rounding is monotonic, so max(x - min) is max - min to the last bit. In place, as large maps are many.
    return (maps - lowest).div_(_EPSILON + (highest - lowest))


def is_blank(values: Float[Tensor, "b *grid"]) -> Bool[Tensor, " b"]:
    """Return which values make a heatmap that is zero everywhere: those without differences above zero."""
    positive = values.relu().flatten(1)
    return positive.amin(1) == positive.amax(1)
