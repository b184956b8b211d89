"""What is done with an extractor's maps: scaled to [0, 1], and resized to one size."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import resize
from shapleycam.errors import OptionError

_EPSILON = 1e-8
"""Added to a map's largest value, as in torch-cam."""


def scale_map(maps: Float[Tensor, "b *grid"]) -> Float[Tensor, "b *grid"]:
    """Return each map scaled to [0, 1], as torch-cam scales it."""
    places = tuple(range(1, maps.dim()))
    shifted = maps - maps.amin(places, keepdim=True)
    return shifted / (shifted.amax(places, keepdim=True) + _EPSILON)


def check_maps(maps: Any) -> None:
    """Refuse what is no list of at least one map.

    Raises:
        OptionError: it is none.
    """
    if not isinstance(maps, list) or not maps or not all(isinstance(each, Tensor) for each in maps):
        raise OptionError("expected a list of at least one map, as an extractor returns it")


def stack_maps(
    maps: Sequence[Float[Tensor, "b *grid"]], target_shape: tuple[int, ...] | None
) -> Float[Tensor, "layers b *size"]:
    """Return maps of several layers at one size: `target_shape`, or the largest of each axis.

    Raises:
        OptionError: maps of other images or axes, or no size of these axes.
    """
    forms = {(len(each), each.dim()) for each in maps}
    axes = maps[0].dim() - 1
    if len(forms) > 1 or axes < 1 or (target_shape is not None and not _is_size(target_shape, axes)):
        shapes = " and ".join(str(tuple(each.shape)) for each in maps)
        raise OptionError(
            f"the maps have shapes {shapes}, and target_shape is {target_shape}; expected maps (b, h, w) of the "
            "same images, and (height, width) or None"
        )
    size = target_shape or tuple(max(sides) for sides in zip(*[each.shape[1:] for each in maps], strict=True))
    return torch.stack([resize(each, size) for each in maps])


def _is_size(size: Any, axes: int) -> bool:
    is_whole = isinstance(size, (tuple, list)) and all(isinstance(side, Integral) and int(side) > 0 for side in size)
    return is_whole and len(size) == axes
