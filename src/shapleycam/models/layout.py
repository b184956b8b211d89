"""How an activation is laid out: which of its dimensions are places of the image, and which are channels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias, cast, get_args

from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import LayerError

LayoutKind: TypeAlias = Literal["NCHW", "NHWC", "NCDHW", "NDHWC", "tokens"]
"""Batch, channels, depth (or time), height, width; or a row of tokens (b, n, k)."""

_WRITTEN = re.compile(
    r"(?P<kind>[A-Za-z]+)\s*(?P<grid>\d+(?:\s*x\s*\d+)+)?\s*(?:after\s*(?P<prefix>\d+)(?:\s*prefix)?)?\s*"
)
_HOW = "write 'NCHW', 'NHWC', 'NCDHW', 'NDHWC', 'tokens 14x14', or 'tokens 14x14 after 1' for 1 prefix token"


@dataclass(frozen=True)
class Layout:
    """Positions and channels of an activation (b, ...): a `grid` of (height, width) or (depth, height, width) cells.

    Tokens may begin with `prefix` ones that have no place in the image (class, registers).
    """

    kind: LayoutKind
    grid: tuple[int, ...]
    prefix: int = 0

    @property
    def count(self) -> int:
        """How many cells the grid has."""
        return prod(self.grid)

    @property
    def channels_first(self) -> bool:
        """Whether the channels come before the grid."""
        return self.kind in {"NCHW", "NCDHW"}

    def positions(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, "b n k"]:
        """The activation as one vector a position, prefix tokens first; a view where possible."""
        if self.channels_first:
            return activation.flatten(2).transpose(1, 2)
        return activation.flatten(1, -2)

    def broadcast(self, places: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows _ _ *_more"]:
        """One number a position, shaped to be multiplied with an activation."""
        if self.kind == "tokens":
            return places.unsqueeze(-1)
        grid: Tensor = places.unflatten(-1, self.grid)
        return grid.unsqueeze(-1 - len(self.grid) if self.channels_first else -1)

    def single_position(self, contents: Float[Tensor, "rows k"]) -> Float[Tensor, "rows _ _ *_more"]:
        """Activations of one position each, from its content."""
        ones = [1] if self.kind == "tokens" else [1] * len(self.grid)
        shape = [-1, *ones] if self.channels_first else [*ones, -1]
        alone: Tensor = contents.unflatten(1, shape)
        return alone

    def cells(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b *grid"]:
        """Values of all positions as a grid, without the prefix tokens."""
        grid: Tensor = values[:, self.prefix :].unflatten(1, self.grid)
        return grid

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an activation of `shape` (b, ...) can be laid out so."""
        if self.kind == "tokens":
            return len(shape) == 3 and shape[1] == self.prefix + self.count
        return self.prefix == 0 and len(shape) == len(self.kind) and _grid_of(self.kind, shape) == self.grid

    def __str__(self) -> str:
        prefix = f" after {self.prefix} prefix" if self.prefix else ""
        return f"{self.kind} {' x '.join(map(str, self.grid))}{prefix}"


def parse_layout(layout: str | Layout, shape: tuple[int, ...], layer: str) -> Layout:
    """The layout that a user says the activation of `shape` (b, ...) has: as `str(Layout)` writes it, the grid only
    where it is not in the shape.

    Raises:
        LayerError: not such a text, or not the layout of this shape.
    """
    chosen = layout if isinstance(layout, Layout) else _read(layout, shape)
    if not chosen.fits(shape):
        raise LayerError(f"layer {layer!r} returns shape {shape}, which is not {str(chosen)!r}; {_HOW}")
    return chosen


def _read(text: str, shape: tuple[int, ...]) -> Layout:
    found = _WRITTEN.fullmatch(text.strip())
    if not found or found["kind"] not in get_args(LayoutKind) or (found["kind"] == "tokens" and not found["grid"]):
        raise LayerError(f"layout {text!r} cannot be read; {_HOW}")
    kind = cast("LayoutKind", found["kind"])
    grid = tuple(int(side) for side in found["grid"].split("x")) if found["grid"] else _grid_of(kind, shape)
    return Layout(kind, grid, int(found["prefix"] or 0))


def _grid_of(kind: LayoutKind, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[2:] if kind in {"NCHW", "NCDHW"} else shape[1:-1]
