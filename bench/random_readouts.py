"""How random networks pool a map or tokens, what they make of the vector, and in what form they return it."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from draw import Draw
from random_layers import ACTIVATIONS, Function


class GeneralizedMean(nn.Module):
    """The p-th root of the mean of p-th powers (GeM), of what is positive."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=1e-2).pow(self.power).mean((2, 3)).pow(1 / self.power)


class AttentionPooling(nn.Module):
    """A learned query that reads the tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, channels))
        self.attention = nn.MultiheadAttention(channels, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2) if x.dim() == 4 else x
        return self.attention(self.query.expand(len(x), -1, -1), tokens, tokens)[0].squeeze(1)


class Cosine(nn.Module):
    """Logits from the angles between the vector and each class's."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, channels))

    def forward(self, x: Tensor) -> Tensor:
        return 5 * F.normalize(x) @ F.normalize(self.weight).T


@dataclass
class Prediction:
    """What a network may return that names its parts."""

    logits: Tensor
    note: str = ""


Scores = namedtuple("Scores", ["logits"])  # noqa: PYI024  # as people write it

MAP_POOLS: dict[str, Callable[[int, tuple[int, int]], tuple[nn.Module, int]]] = {
    "mean": lambda c, _: (Function(lambda x: x.mean((2, 3))), c),
    "AdaptiveAvgPool2d": lambda c, _: (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), c),
    "avg_pool2d": lambda c, _: (Function(lambda x: F.avg_pool2d(x, x.shape[2:]).flatten(1)), c),
    "maximum": lambda c, _: (Function(lambda x: x.amax((2, 3))), c),
    "AdaptiveMaxPool2d": lambda c, _: (nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()), c),
    "mean and maximum": lambda c, _: (Function(lambda x: torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)), 2 * c),
    "flatten": lambda c, grid: (nn.Flatten(), c * grid[0] * grid[1]),
    "quarters": lambda c, _: (nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), 4 * c),
    "attention": lambda c, _: (AttentionPooling(c), c),
    "generalized mean": lambda c, _: (GeneralizedMean(), c),
    "logsumexp": lambda c, _: (Function(lambda x: x.flatten(2).logsumexp(2)), c),
    "second moment": lambda c, _: (Function(lambda x: torch.cat([x, x * x], 1).mean((2, 3))), 2 * c),
}
TOKEN_POOLS: dict[str, Callable[[int, int], tuple[nn.Module, int]]] = {
    "first token": lambda c, _: (Function(lambda x: x[:, 0]), c),
    "mean of tokens": lambda c, _: (Function(lambda x: x.mean(1)), c),
    "first token and mean": lambda c, _: (Function(lambda x: torch.cat([x[:, 0], x.mean(1)], 1)), 2 * c),
    "maximum of tokens": lambda c, _: (Function(lambda x: x.amax(1)), c),
    "attention": lambda c, _: (AttentionPooling(c), c),
    "flatten": lambda c, count: (nn.Flatten(), c * count),
}
HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": nn.Linear,
    "norm, linear": lambda c, k: nn.Sequential(nn.LayerNorm(c), nn.Linear(c, k)),
    "batch norm, linear": lambda c, k: nn.Sequential(nn.BatchNorm1d(c), nn.Linear(c, k)),
    "dropout, linear": lambda c, k: nn.Sequential(nn.Dropout(0.2), nn.Linear(c, k)),
    "cosine": Cosine,
}
FORMS: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda z: z,
    "dict": lambda z: {"logits": z},
    "dict with features": lambda z: {"features": z[:, :1], "logits": z},
    "ordered dict": lambda z: OrderedDict(out=z, aux=z * 2),
    "tuple": lambda z: (z,),
    "named tuple": Scores,
    "dataclass": Prediction,
}


def logits_of(output: Any) -> Tensor:
    """The logits in any of `FORMS`."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        return output["out" if "out" in output else "logits"]
    return output[0] if isinstance(output, tuple) else output.logits


def head(draw: Draw, channels: int, classes: int) -> nn.Module:
    """Draw what makes logits of the pooled vector."""
    if draw.chance("perceptron", 0.25):
        act = ACTIVATIONS[draw.of("activation of the perceptron", ACTIVATIONS)]()
        return nn.Sequential(nn.Linear(channels, 8), act, nn.Linear(8, classes))
    return HEADS[draw.of("head", HEADS)](channels, classes)
