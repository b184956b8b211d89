"""Convert signed values to a heatmap in [0, 1] at the size of the input, scaled as in the paper's code."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from shapleycam.tracing.suspension import in_full_precision

_EPSILON = 1e-7


def heatmap(values: Float[Tensor, "b *grid"], size: tuple[int, ...]) -> Float[Tensor, "b *size"]:
    """Return a heatmap in [0, 1] of `size`: (height, width), in 3-D (depth, height, width).

    The steps are those of arXiv:2501.06261: ReLU, min-max at native size, (tri)linear resize, min-max again.

    Examples:
        >>> import torch
        >>> heatmap(torch.tensor([[[-1.0, 2.0]]]), (1, 2)).round(decimals=2)
        tensor([[[0., 1.]]])
    """
    return _min_max_(resize(min_max(values.relu()), size))


@in_full_precision()
def resize(values: Float[Tensor, "b *grid"], size: tuple[int, ...]) -> Float[Tensor, "b *size"]:
    """Return values at another size, by (tri)linear interpolation.

    It multiplies each axis with a matrix of the weights of PyTorch's `interpolate`. That takes a fifth of the time of
    `interpolate` itself.

    Examples:
        >>> import torch
        >>> resize(torch.tensor([[[0.0, 1.0]]]), (1, 4))
        tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    resized = values
    for axis, new in reversed(list(enumerate(size, start=1))):
        weights = _weights(values.shape[axis], new, values.dtype, values.device)
        rest = resized.shape[axis + 1 :]
        rows = resized.reshape(-1, values.shape[axis], rest.numel())
        resized = _products(weights, rows).reshape(*resized.shape[:axis], new, *rest)
    return resized


def _products(weights: Float[Tensor, "new length"], rows: Float[Tensor, "r length k"]) -> Float[Tensor, "r new k"]:
    """Return the product of each row with the weights; its bits do not depend on the other rows.

    PyTorch uses another kernel for a single row than for several, so that a single row is repeated.
    """
    batch = rows if len(rows) > 1 else rows.repeat(2, 1, 1)
    return torch.bmm(weights.expand(len(batch), -1, -1), batch)[: len(rows)]


@lru_cache(maxsize=64)
def _weights(length: int, new: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "new length"]:
    """Return the matrix of weights that resizes `length` numbers to `new` numbers."""
    with torch.inference_mode(mode=False):
        unit = torch.eye(length, dtype=dtype, device=device)
        return interpolate(unit[:, None], size=new, mode="linear", align_corners=False)[:, 0].T.contiguous()


def min_max(maps: Float[Tensor, "b *grid"]) -> Float[Tensor, "b *grid"]:
    """Return each map scaled to [0, 1]: (x - min) / (1e-7 · max |x| + max(x - min)); zeros for a constant one.

    Examples:
        >>> import torch
        >>> from shapleycam.cams.heatmaps import min_max
        >>> min_max(torch.tensor([[[0.0, 1e-20, 4e-20]]])).round(decimals=2)
        tensor([[[0.0000, 0.2500, 1.0000]]])
    """
    return _min_max_(maps.clone())


def _min_max_(maps: Float[Tensor, "b *grid"]) -> Float[Tensor, "b *grid"]:
    """Scale maps as `min_max` does, in place: a map at input size takes longer to allocate than to scale."""
    dims = tuple(range(1, maps.dim()))
    lowest, highest = maps.amin(dims, keepdim=True), maps.amax(dims, keepdim=True)
    # The paper's code adds 1e-7 whatever the size of the values. Those of a probability near 0, or of a model that was
    # re-initialised, may be far smaller, and would be divided by that: the same map would be dark.
    smallest = _EPSILON * torch.maximum(highest.abs(), lowest.abs())
    # Rounding is monotonic, so max(x - min) is max - min to the last bit.
    return maps.sub_(lowest).div_((highest - lowest).add_(smallest).clamp_(min=torch.finfo(maps.dtype).tiny))


def is_blank(values: Float[Tensor, "b *grid"]) -> Bool[Tensor, " b"]:
    """Return for each image whether its heatmap is zero everywhere: after ReLU all values are the same."""
    positive = values.relu().flatten(1)
    return positive.amin(1) == positive.amax(1)
