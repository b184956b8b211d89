"""From signed values to a heatmap in [0, 1] at the size of the input, as the paper's code scales it."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

_EPSILON = 1e-7


def heatmap(values: Float[Tensor, "b h w"], size: tuple[int, int]) -> Float[Tensor, "b H W"]:
    """ReLU, min-max at native size, bilinear resize to `size` (height, width), min-max again."""
    positive = min_max(values.relu())
    resized = interpolate(positive[:, None], size=size, mode="bilinear", align_corners=False)
    return min_max(resized[:, 0])


def min_max(maps: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Each map on [0, 1]: (x - min) / (1e-7 + max(x - min)); zeros for a constant one."""
    lowest, highest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    # Rounding is monotonic, so max(x - min) is max - min to the last bit. In place, as large maps are many.
    return (maps - lowest).div_(_EPSILON + (highest - lowest))


def blank(values: Float[Tensor, "b h w"]) -> Bool[Tensor, " b"]:
    """Which values make a heatmap that is zero everywhere: those without differences above zero."""
    positive = values.relu()
    return positive.amin((1, 2)) == positive.amax((1, 2))
