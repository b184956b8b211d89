"""Networks of every layout in which one patch of the image decides the class, so that the right map is known."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

STRIDE = 4


@dataclass(frozen=True)
class Plan:
    """`kind` as in Layout, the grid of cells, prefix tokens; `ragged` pixels more than the patches cover."""

    kind: str
    grid: tuple[int, ...]
    prefix: int = 0
    ragged: int = 0

    @property
    def image(self) -> tuple[int, ...]:
        """The sides of the image."""
        *deep, h, w = self.grid
        return (*deep, *(STRIDE * side + self.ragged for side in (h, w)))

    def __str__(self) -> str:
        sides = "x".join(map(str, self.grid))
        return f"{self.kind} {sides}" + (f"+{self.prefix}" if self.prefix else "") + (" ragged" if self.ragged else "")


class Cells(nn.Module):
    """Brings an activation with the channels first to the layout: the layer that is explained."""

    def __init__(self, plan: Plan):
        super().__init__()
        self.plan = plan

    def forward(self, x: Tensor) -> Tensor:
        if self.plan.kind in {"NHWC", "NDHWC"}:
            return x.movedim(1, -1).contiguous()
        if self.plan.kind == "tokens":
            tokens = x.flatten(2).transpose(1, 2)
            return torch.cat([torch.ones_like(tokens[:, :1]).repeat(1, self.plan.prefix, 1), tokens], 1)
        return x.clone()


class Planted(nn.Module):
    """Two classes: how bright the brightest patches are (a smooth function of their sum), and nothing.

    Channel 0 of a cell is its patch's mean colour, channel 1 is noise of the image that the head ignores; prefix tokens
    (all ones) add their number to the score.
    """

    def __init__(self, plan: Plan, *, videos: bool = False):
        super().__init__()
        self.plan, self.videos = plan, videos
        if plan.prefix:
            self.num_prefix_tokens = plan.prefix
        self.cells = Cells(plan)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if self.videos else x
        h, w = (STRIDE * side for side in self.plan.grid[-2:])
        x = x[..., :h, :w].unflatten(-2, (-1, STRIDE)).unflatten(-1, (-1, STRIDE)).mean((-3, -1))
        a = self.cells(x)
        if self.plan.kind == "tokens":
            bright = a[..., 0].sum(1)
        else:
            bright = (a[..., 0] if self.plan.kind in {"NHWC", "NDHWC"} else a[:, 0]).flatten(1).sum(1)
        return torch.stack([bright + 0.1 * bright**2, torch.zeros_like(bright)], 1)


def image_of(plan: Plan, cell: tuple[int, ...], *, videos: bool = False) -> Tensor:
    """An image with one bright patch, at `cell`, on a ground that is nearly black; two channels of noise beside it."""
    generator = torch.Generator().manual_seed(prod(plan.grid))
    image = torch.rand(1, 3, *plan.image, generator=generator) * 0.01
    *deep, row, column = cell
    where = (0, 0, *deep, slice(row * STRIDE, (row + 1) * STRIDE), slice(column * STRIDE, (column + 1) * STRIDE))
    image[where] = 1
    return image.transpose(1, 2).contiguous() if videos else image
