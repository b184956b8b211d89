"""Fuse explanations of several layers into one: their heatmaps, and their values on the finest grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.heatmaps import min_max, resize
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.names import canonical_name, nearest

FUSIONS: dict[str, Callable[[Sequence[Explanation]], Tensor]] = {
    "mean": lambda layers: torch.stack([_scaled_once(e) for e in layers]).mean(0),
    "maximum": lambda layers: torch.stack([e.heatmap for e in layers]).amax(0),
    "product": lambda layers: torch.stack([e.heatmap for e in layers]).prod(0),
}
"""Functions from the explanations at several layers to one map, before it is scaled to [0, 1]."""


def check_fusion(fuse: str) -> str:
    """Return the canonical name of a fusion, for any spelling of it.

    Raises:
        OptionError: the name is unknown.
    """
    fusion = canonical_name(fuse, FUSIONS)
    if fusion is None:
        raise OptionError(f"fuse={fuse!r} is unknown; {nearest(str(fuse), FUSIONS)}")
    return fusion


def fuse_explanations(explanations: Sequence[Explanation], fusion: str) -> Explanation:
    """Return the explanations of the same images at several layers as one.

    "mean" is that of pytorch-grad-cam: each layer's map is scaled at its own size, resized and averaged. (Heatmaps are
    scaled a second time, at the input's size.) "maximum" and "product" combine heatmaps. All three are then scaled to
    [0, 1].

    The values are the mean over the layers. Each layer's values are spread evenly over the cells of the finest grid, so
    their sum does not change. The values of prefix tokens are averaged too. Standard errors, curvature and notes belong
    to single layers and are left out.

    Raises:
        OptionError: some layers have a depth axis, and some have none.
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
    """Return a layer's map scaled to [0, 1] and then resized; after resizing its largest pixel may be below 1."""
    return resize(min_max(explanation.values.relu()), tuple(explanation.heatmap.shape[1:]))


def _spread(values: Float[Tensor, "b *cells"], grid: tuple[int, ...]) -> Float[Tensor, "b *grid"]:
    """Return values on another grid over the same image: a cell's value is divided by area among those it overlaps."""
    overlaps = [_overlap(old, new).to(values) for old, new in zip(values.shape[1:], grid, strict=True)]
    return reduce(lambda shared, overlap: torch.tensordot(shared, overlap, dims=([1], [0])), overlaps, values)


def _overlap(old: int, new: int) -> Float[Tensor, "old new"]:
    """Divide a line into `old` and into `new` equal parts; return the share of each old part in each new part."""
    ends, starts = torch.arange(1, old + 1, device="cpu").double() / old, torch.arange(old, device="cpu").double() / old
    highest = torch.minimum(ends[:, None], torch.arange(1, new + 1, device="cpu").double() / new)
    lowest = torch.maximum(starts[:, None], torch.arange(new, device="cpu").double() / new)
    return (highest - lowest).clamp(min=0) * old
