"""Blocks of random networks on maps (b, c, h, w), which keep the shape: what joins the input to what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from draw import Draw
from random_habits import (
    Caching,
    Choosing,
    Closing,
    InPlainList,
    Observing,
    Returning,
    Unwrapping,
    forward_replaced,
)
from random_layers import Function, activation, convolution, norm


def _add_in_place(x: Tensor, y: Tensor) -> Tensor:
    y += x
    return y


def _add_to_every_other(x: Tensor, y: Tensor) -> Tensor:
    y = y + 0.5
    y[:, ::2] += x[:, ::2]
    return y


def _relu_of_a_view(x: Tensor, y: Tensor) -> Tensor:
    y = y + x
    y.narrow(1, 0, x.shape[1] // 2).relu_()
    return y


def _overwrite_input(x: Tensor, y: Tensor) -> Tensor:
    """Writes into what the block was given."""
    return x.mul_(0.5).add_(y)


def _only_half(x: Tensor, y: Tensor) -> Tensor:
    (first, _), (_, second) = x.chunk(2, 1), y.chunk(2, 1)
    return torch.cat([first, second], 1)


def _shuffled(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([x, y], 2).flatten(1, 2)[:, : x.shape[1]]


JOINS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nothing": lambda _, y: y,
    "addition": lambda x, y: x + y,
    "addition in place": _add_in_place,
    "addition into a view": _add_to_every_other,
    "addition, relu_ of a view": _relu_of_a_view,
    "addition into the input": _overwrite_input,
    "multiplication": lambda x, y: x * y.sigmoid(),
    "gated square": lambda x, y: x + y * x,
    "interpolation": lambda x, y: torch.lerp(x, y, 0.3),
    "halves": _only_half,
    "shuffled channels": _shuffled,
    "maximum": torch.maximum,
}


class Joined(nn.Module):
    """What `join` makes of the input and of the body's output."""

    def __init__(self, body: nn.Module, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.join = body, join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x, self.body(x))


class Concatenated(nn.Module):
    """Input and body's output side by side, brought back to the width by a 1x1 convolution."""

    def __init__(self, body: nn.Module, channels: int) -> None:
        super().__init__()
        self.body, self.narrowing = body, nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.narrowing(torch.cat([x, self.body(x)], 1))


class Bottleneck(nn.Module):
    """As ResNet's, one activation module used three times, written out line by line."""

    def __init__(self, draw: Draw, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 1), norm(draw, channels)
        self.conv2, self.norm2 = convolution(draw, channels, channels), norm(draw, channels)
        self.act = activation(draw)

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.norm1(self.conv1(x)))
        out = self.act(self.norm2(self.conv2(out)))
        out = out + x
        return self.act(out)


class SqueezeExcitation(nn.Module):
    """Channels gated by what the whole map says, the gate handed over by keyword."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, channels, 1), nn.Sigmoid()
        )
        self.apply_gate = _Gated()

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_gate(x, gate=self.gate(x))


class _Gated(nn.Module):
    def forward(self, x: Tensor, *, gate: Tensor) -> Tensor:
        return x * gate


class SpatialGate(nn.Module):
    """Positions gated by the mean and the largest of their channels, after CBAM (Woo 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)).sigmoid()


class InList(nn.Module):
    """Branches in a ModuleList, summed, each behind a dropout."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches, self.dropout = nn.ModuleList(branches), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return sum((self.dropout(branch(x)) for branch in self.branches), start=torch.zeros_like(x))


class Resampled(nn.Module):
    """Its body at another resolution, and back (a U-Net's, or a feature pyramid's)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        larger = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return x + F.avg_pool2d(self.body(larger), 2)


def block(draw: Draw, channels: int) -> nn.Module:
    """Draw a block on maps."""
    kind = draw.of("block", KINDS)
    return KINDS[kind](draw, channels)


def _body(draw: Draw, channels: int) -> nn.Sequential:
    """Convolution, norm and activation, in one of two orders."""
    layers = [norm(draw, channels), activation(draw)]
    conv = convolution(draw, channels, channels)
    return nn.Sequential(*layers, conv) if draw.chance("norm first", 0.3) else nn.Sequential(conv, *layers)


def _joined(draw: Draw, channels: int) -> nn.Module:
    return Joined(_body(draw, channels), JOINS[draw.of("joined by", JOINS)])


def _with_shared_weight(draw: Draw, channels: int) -> nn.Module:
    first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
    second.weight = first.weight
    return nn.Sequential(first, activation(draw), second)


WRAPS: dict[str, Callable[[Tensor], Any]] = {"tuple": lambda y: (y,), "dict": lambda y: {"features": y}}
KINDS: dict[str, Callable[[Draw, int], nn.Module]] = {
    "plain": _body,
    "joined": _joined,
    "joined, twice": lambda d, c: nn.Sequential(_joined(d, c), _joined(d, c)),
    "concatenated": lambda d, c: Concatenated(_body(d, c), c),
    "bottleneck": Bottleneck,
    "squeeze and excitation": lambda d, c: nn.Sequential(_body(d, c), SqueezeExcitation(c)),
    "spatial gate": lambda d, c: nn.Sequential(_body(d, c), SpatialGate()),
    "plain list": lambda d, c: InPlainList(_body(d, c)),
    "method kept": lambda d, c: Choosing(_body(d, c)),
    "closure": lambda d, c: Closing(_body(d, c)),
    "forward replaced": lambda d, c: forward_replaced(_joined(d, c)),
    "cached table": lambda d, c: Caching(_body(d, c), c),
    "wrapped": lambda d, c: Unwrapping(Returning(_body(d, c), WRAPS[d.of("wrapped in", WRAPS)])),
    "shared weight": _with_shared_weight,
    "observed": lambda d, c: Observing(_body(d, c)),
    "branches": lambda d, c: InList([_body(d, c), _body(d, c)]),
    "resampled": lambda d, c: Resampled(_body(d, c)),
    "function": lambda d, c: nn.Sequential(_body(d, c), Function(lambda x: x * x.sigmoid())),
}
