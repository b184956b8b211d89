"""How an activation is laid out: which of its dimensions are places of the image, and which are channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError

_MOST_PREFIX_TOKENS = 16
_CHANNELS_FIRST = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Layout:
    """Positions and channels of an activation (b, ...): a grid of `height` x `width` cells.

    Tokens may begin with `prefix` ones that have no place in the image (class, registers).
    """

    kind: Literal["NCHW", "NHWC", "tokens"]
    height: int
    width: int
    prefix: int = 0

    def positions(self, activation: Float[Tensor, "b *shape"]) -> Float[Tensor, "b n k"]:
        """The activation as one vector a position, prefix tokens first; a view where possible."""
        if self.kind == "NCHW":
            return activation.flatten(2).transpose(1, 2)
        return activation.flatten(1, -2)

    def over(self, places: Float[Tensor, "*rows n"]) -> Float[Tensor, "*rows _ _ _"] | Float[Tensor, "*rows _ _"]:
        """One number a position, shaped to be multiplied with an activation."""
        if self.kind == "tokens":
            return places.unsqueeze(-1)
        grid: Tensor = places.unflatten(-1, (self.height, self.width))
        return grid.unsqueeze(-3 if self.kind == "NCHW" else -1)

    def single(self, contents: Float[Tensor, "rows k"]) -> Float[Tensor, "rows _ _ _"] | Float[Tensor, "rows _ _"]:
        """Activations of one position each, from its content."""
        if self.kind == "NCHW":
            return contents[:, :, None, None]
        return contents[:, None, None] if self.kind == "NHWC" else contents[:, None]

    def cells(self, values: Float[Tensor, "b n"]) -> Float[Tensor, "b h w"]:
        """Values of all positions as a grid, without the prefix tokens."""
        return values[:, self.prefix :].reshape(len(values), self.height, self.width)

    def __str__(self) -> str:
        prefix = f" after {self.prefix} prefix" if self.prefix else ""
        return f"{self.kind} {self.height} x {self.width}{prefix}"


def layout_of(
    shape: tuple[int, ...], image: tuple[int, int], module: nn.Module | None = None, prefix: int | None = None
) -> Layout | None:
    """The layout of an activation of `shape` (b, ...) for images of (height, width); None if it has no grid.

    The module that made the activation says where its channels are, where it can; otherwise the grid is the
    pair of dimensions that divides the image evenly. `prefix` is the number of prefix tokens, where known.

    Raises:
        LayerError: both readings of a 4-D activation are possible.
    """
    if len(shape) == 3:
        return _tokens(shape[1], image, prefix)
    if len(shape) != 4:
        return None
    first, last = (shape[2], shape[3]), (shape[1], shape[2])
    channels = _channels(module)
    if channels == "first" or (channels is None and _fits(first, image) and not _fits(last, image)):
        return Layout("NCHW", *first)
    if channels == "last" or (channels is None and _fits(last, image) and not _fits(first, image)):
        return Layout("NHWC", *last)
    if _fits(first, image) and _fits(last, image):
        raise LayerError(
            f"the activation of shape {shape} could be channels-first ({first[0]} x {first[1]} cells) or "
            f"channels-last ({last[0]} x {last[1]}); choose a convolution or norm layer, whose layout is known"
        )
    return None


def _channels(module: nn.Module | None) -> Literal["first", "last"] | None:
    """Where the channels are, as far as the kind of module tells."""
    if isinstance(module, _CHANNELS_FIRST):
        return "first"
    # Subclasses of LayerNorm (timm's LayerNorm2d) are often channels-first.
    return "last" if type(module) is nn.LayerNorm else None


def _fits(grid: tuple[int, int], image: tuple[int, int]) -> bool:
    """Whether a grid may be the image at some stride: not finer than it, and at the two sides' common stride
    s = (H + W) / (h + w) right to within a cell, |h - H / s| < 1.
    """
    (h, w), (height, width) = grid, image
    return h <= height and w <= width and abs(h * width - w * height) < height + width


def _tokens(count: int, image: tuple[int, int], prefix: int | None) -> Layout | None:
    declared = () if prefix is None else (prefix,)
    for skipped in (*declared, *range(_MOST_PREFIX_TOKENS)):
        grid = _grid(count - skipped, image)
        if grid is not None:
            return Layout("tokens", *grid, prefix=skipped)
    return None


def _grid(cells: int, image: tuple[int, int]) -> tuple[int, int] | None:
    """The two factors of `cells` in the proportions of the image, exactly."""
    height, width = image
    h = round((cells * height / width) ** 0.5) if cells > 0 else 0
    if h and cells % h == 0 and h * width == (cells // h) * height:
        return h, cells // h
    return None
