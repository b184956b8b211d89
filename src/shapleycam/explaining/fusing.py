"""Fusing explanations of several layers into one: their heatmaps, and their values on the finest grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import min_max, resize
from shapleycam.errors import OptionError, nearest
from shapleycam.explanations.explanation import Explanation
from shapleycam.names import canonical_name

FUSIONS: dict[str, Callable[[Sequence[Explanation]], Tensor]] = {
    "mean": lambda layers: torch.stack([_scaled_once(e) for e in layers]).mean(0),
    "maximum": lambda layers: torch.stack([e.heatmap for e in layers]).amax(0),
    "product": lambda layers: torch.stack([e.heatmap for e in layers]).prod(0),
}
"""How the maps of several layers become one, before it is scaled to [0, 1]."""


def check_fusion(fuse: str) -> str:
    """Return the name of a fusion, for any spelling of it.

    Raises:
        OptionError: there is none of that name.
    """
    fusion = canonical_name(fuse, FUSIONS)
    if fusion is None:
        raise OptionError(f"fuse={fuse!r} is unknown; {nearest(str(fuse), FUSIONS)}")
    return fusion


def fuse_explanations(explanations: Sequence[Explanation], fusion: str) -> Explanation:
    """Return the explanations of the same images at several layers as one.

    The mean is that of pytorch-grad-cam: of maps scaled at their own size and resized, not of heatmaps, which are
    scaled at the input's size once more. Maximum and product are of heatmaps. All are scaled to [0, 1] again.

    Values are the layers' mean, each spread evenly over the cells of the finest grid, so that they still sum to what
    they summed to; so are those of prefix tokens. Standard errors, curvature and notes belong to single layers, and are
    left out.

    Raises:
        OptionError: some layers have a depth, and some have none.
    """
    first = explanations[0]
    if len({e.values.dim() for e in explanations}) > 1:
        grids = ", ".join(f"{e.layer!r} {' x '.join(map(str, e.values.shape[1:]))}" for e in explanations)
        raise OptionError(f"layers with and without a depth cannot be fused: {grids}; choose layers of one kind")
    finest = max((tuple(e.values.shape[1:]) for e in explanations), key=lambda grid: (len(grid), *grid))
    values = torch.stack([_spread(e.values, finest) for e in explanations]).mean(0)
    prefixes = [e.prefix for e in explanations if e.prefix is not None]
    return replace(
        first,
        layer=" + ".join(e.layer for e in explanations),
        heatmap=min_max(FUSIONS[fusion](explanations)),
        values=values,
        stderr=None,
        prefix=torch.stack(prefixes).sum(0) / len(explanations) if prefixes else None,
        curvature=None,
        coalition_cost=None,
        notes=(),
        utility_removed=None,
        regions=None,
    )


def _scaled_once(explanation: Explanation) -> Float[Tensor, "b *size"]:
    """Return a layer's map with its largest cell at 1; at the input's size its largest pixel may lie below."""
    return resize(min_max(explanation.values.relu()), tuple(explanation.heatmap.shape[1:]))


def _spread(values: Float[Tensor, "b *cells"], grid: tuple[int, ...]) -> Float[Tensor, "b *grid"]:
    """Return values on another grid over the same image: each cell's is shared by the cells it overlaps, by area."""
    overlaps = [_overlap(old, new).to(values) for old, new in zip(values.shape[1:], grid, strict=True)]
    return reduce(lambda shared, overlap: torch.tensordot(shared, overlap, dims=([1], [0])), overlaps, values)


def _overlap(old: int, new: int) -> Float[Tensor, "old new"]:
    """Return which share of each of `old` equal parts of a line lies in each of `new` equal parts."""
    ends, starts = torch.arange(1, old + 1, device="cpu").double() / old, torch.arange(old, device="cpu").double() / old
    highest = torch.minimum(ends[:, None], torch.arange(1, new + 1, device="cpu").double() / new)
    lowest = torch.maximum(starts[:, None], torch.arange(new, device="cpu").double() / new)
    return (highest - lowest).clamp(min=0) * old
