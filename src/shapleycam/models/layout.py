"""Layouts of activations: which dimensions are positions of the image, and which are channels."""

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
Size: TypeAlias = tuple[int, ...]
"""Height and width, or depth, height and width."""

_LAYOUT_TEXT = re.compile(
    r"(?P<kind>[A-Za-z]+)\s*(?P<grid>\d+(?:\s*x\s*\d+)+)?\s*(?:after\s*(?P<prefix>\d+)(?:\s*prefix)?)?\s*"
)
_EXPECTED_TEXT = "write 'NCHW', 'NHWC', 'NCDHW', 'NDHWC', 'tokens 14x14', or 'tokens 14x14 after 1' for 1 prefix token"


@dataclass(frozen=True)
class Layout:
    """Which dimensions of an activation (b, ...) are positions, and which are channels.

    Attributes:
        kind: the order of the dimensions.
        grid: the grid's size in cells, (height, width) or (depth, height, width).
        prefix: the number of prefix tokens (class, registers): tokens without a place in the image, before the cells.

    Examples:
        >>> layout = Layout("tokens", (14, 14), prefix=1)
        >>> str(layout), layout.count, layout.fits((2, 197, 384))
        ('tokens 14 x 14 after 1 prefix', 196, True)
    """

    kind: LayoutKind
    grid: tuple[int, ...]
    prefix: int = 0

    @property
    def count(self) -> int:
        """Return the number of cells of the grid."""
        return prod(self.grid)

    @property
    def channels_first(self) -> bool:
        """Return whether the channels come before the grid."""
        return self.kind in {"NCHW", "NCDHW"}

    def positions(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, "b n k"]:
        """Return the activation as one vector per position, prefix tokens first; a view where possible."""
        if self.channels_first:
            return activation.flatten(2).transpose(1, 2)
        return activation.flatten(1, -2)

    def from_positions(self, positions: Float[Tensor, "b n k"], shape: tuple[int, ...]) -> Float[Tensor, "b *shape"]:
        """Return an activation of this shape (b, ...) from one vector per position: the inverse of `positions`."""
        ordered = positions.transpose(1, 2) if self.channels_first else positions
        return ordered.reshape(*shape)

    def broadcast(self, numbers: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows _ _ *_more"]:
        """Return one number per position, reshaped so that it broadcasts against an activation."""
        if self.kind == "tokens":
            return numbers.unsqueeze(-1)
        grid: Tensor = numbers.unflatten(-1, self.grid)
        return grid.unsqueeze(-1 - len(self.grid) if self.channels_first else -1)

    def single_position(self, contents: Float[Tensor, "rows k"]) -> Float[Tensor, "rows _ _ *_more"]:
        """Return activations of one position each, from the vectors of these positions."""
        ones = [1] if self.kind == "tokens" else [1] * len(self.grid)
        shape = [-1, *ones] if self.channels_first else [*ones, -1]
        alone: Tensor = contents.unflatten(1, shape)
        return alone

    def cells(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b *grid"]:
        """Return the values on the grid, without those of the prefix tokens."""
        grid: Tensor = values[:, self.prefix :].unflatten(1, self.grid)
        return grid

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Return whether an activation of `shape` (b, ...) can have this layout."""
        if self.kind == "tokens":
            return len(shape) == 3 and shape[1] == self.prefix + self.count
        return self.prefix == 0 and len(shape) == len(self.kind) and _grid_of(self.kind, shape) == self.grid

    def __str__(self) -> str:
        prefix = f" after {self.prefix} prefix" if self.prefix else ""
        return f"{self.kind} {' x '.join(map(str, self.grid))}{prefix}"


def spatial_size(images: tuple[int, ...], channels: int = 1) -> Size:
    """Return (height, width) for images of shape (b, c, h, w), and (depth, height, width) for volumes and videos.

    `channels` is the axis of the channels: 1 for volumes (b, c, d, h, w), 2 for videos (b, t, c, h, w).

    Examples:
        >>> spatial_size((8, 3, 224, 320)), spatial_size((8, 16, 3, 224, 320), channels=2)
        ((224, 320), (16, 224, 320))
    """
    return tuple(side for axis, side in enumerate(images) if axis not in {0, channels})


def parse_layout(layout: str | Layout, shape: tuple[int, ...], layer: str) -> Layout:
    """Return the layout that a user gave for a layer's activation of `shape` (b, ...).

    A text has the form of `str(Layout)`; the grid may be omitted unless the layout is one of tokens.

    Raises:
        LayerError: the text cannot be parsed, or the layout does not fit the shape.
    """
    parsed = layout if isinstance(layout, Layout) else _parse_text(layout, shape)
    if not parsed.fits(shape):
        raise LayerError(f"layer {layer!r} returns shape {shape}, which is not {str(parsed)!r}; {_EXPECTED_TEXT}")
    return parsed


def _parse_text(text: str, shape: tuple[int, ...]) -> Layout:
    match = _LAYOUT_TEXT.fullmatch(text.strip())
    if not match or match["kind"] not in get_args(LayoutKind) or (match["kind"] == "tokens" and not match["grid"]):
        raise LayerError(f"layout {text!r} cannot be read; {_EXPECTED_TEXT}")
    kind = cast("LayoutKind", match["kind"])
    grid = tuple(int(side) for side in match["grid"].split("x")) if match["grid"] else _grid_of(kind, shape)
    return Layout(kind, grid, int(match["prefix"] or 0))


def _grid_of(kind: LayoutKind, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[2:] if kind in {"NCHW", "NCDHW"} else shape[1:-1]
