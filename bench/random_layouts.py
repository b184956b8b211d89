"""How what the modules of a drawn network return is laid out, and which of them can be explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from by_hand import by_slow_path
from random_layers import ChannelNorm, FlattenedBatchNorm
from random_tokens import ChannelsLast, ModuleAttention, OnMap, TokenBatchNorm, Windows

INSIDE: dict[type[nn.Module], str] = {
    ChannelNorm: "NHWC",
    FlattenedBatchNorm: "",
    ChannelsLast: "NHWC",
    Windows: "",
    OnMap: "NCHW",
    TokenBatchNorm: "",
    ModuleAttention: "",
}
"""The layout within modules that change it; "" where there is none that a game can be played on."""


@dataclass(frozen=True)
class Grid:
    """How an activation is laid out: "NCHW", "NHWC" or "tokens", height and width, tokens before those of the image."""

    kind: str
    sides: tuple[int, int]
    prefix: int = 0

    def __str__(self) -> str:
        """Return it as `Explainer(layout=)` reads it."""
        if self.kind != "tokens":
            return self.kind
        return f"tokens {self.sides[0]}x{self.sides[1]}" + (f" after {self.prefix}" if self.prefix else "")

    def positions(self, activation: Tensor) -> Tensor:
        """The activation as (b, positions, channels)."""
        return activation.flatten(2).transpose(1, 2) if self.kind == "NCHW" else activation.flatten(1, -2)

    def spread(self, numbers: Tensor) -> Tensor:
        """One number a position (b, n), to be multiplied with an activation."""
        if self.kind == "tokens":
            return numbers[..., None]
        grid = numbers.unflatten(1, self.sides)
        return grid[:, None] if self.kind == "NCHW" else grid[..., None]


def candidates(
    network: nn.Module, stages: Iterable[tuple[str, nn.Module, str]], tokens: Grid, images: Tensor
) -> dict[str, Grid]:
    """The layers that can be explained, with their grids: they run once, and return one tensor with a grid.

    `stages` are the name, the module and the layout of each part of the network that has positions.
    """
    calls: Counter[str] = Counter()
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = []
    for name, module in network.named_modules():

        def seen(_module: nn.Module, _inputs: Any, value: Any, name: str = name) -> None:
            calls[name] += 1
            parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
            tensors = [part for part in parts if isinstance(part, Tensor)]
            shapes[name] = tuple(tensors[0].shape) if len(tensors) == 1 else ()

        hooks.append(module.register_forward_hook(seen))
    with by_slow_path():
        network(images.clone())
    for hook in hooks:
        hook.remove()
    grids = {}
    for name, kind in (pair for stage in stages for pair in _kinds(*stage)):
        grid = _grid(kind, shapes.get(name, ()), len(images), tokens)
        if calls[name] == 1 and grid is not None and "parametrizations" not in name:
            grids[name] = grid
    return grids


def _grid(kind: str, shape: tuple[int, ...], batch: int, tokens: Grid) -> Grid | None:
    if len(shape) != (3 if kind == "tokens" else 4) or shape[0] != batch or not kind:
        return None
    if kind == "tokens":
        return tokens if shape[1] == tokens.prefix + tokens.sides[0] * tokens.sides[1] else None
    sides = shape[2:] if kind == "NCHW" else shape[1:3]
    return Grid(kind, (sides[0], sides[1])) if sides[0] * sides[1] > 1 else None


def _kinds(name: str, module: nn.Module, kind: str) -> Iterator[tuple[str, str]]:
    """The layout of what a module returns, and of those inside of it, by name."""
    yield name, kind
    inside = INSIDE.get(type(module), kind)
    for child, inner in module.named_children():
        yield from _kinds(f"{name}.{child}", inner, inside)
