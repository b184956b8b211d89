"""Games of toy and real networks, and what their coalitions are worth, masked by hand."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from helpers.narrow_networks import narrow_network
from helpers.networks import Toy
from shapleycam import Explainer


def game_of(model, images, utility="logit", target=0, layer="features", **options):
    """The game of a batch; `memory` goes to the explainer, `players` to the game."""
    players = options.pop("players", None)
    return Explainer(model, layer=layer, **options).game(images, target=target, utility=utility, players=players)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_coalitions(*shape, seed=1):
    """Return random coalitions, sparse and dense ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator) < torch.rand((*shape[:-1], 1), generator=generator)


def by_hand(game, coalitions, replacement=None):
    """U(head(A_S)) - U(head(R)), (b, s): positions are written over one by one, and the head runs as it is.

    R is `replacement`, zeros for None.
    """
    replacement = torch.zeros_like(game.activation) if replacement is None else replacement
    coalitions = coalitions.expand(len(game.activation), *coalitions.shape[-2:])
    with torch.inference_mode(mode=False), torch.no_grad():
        empty = game.utility_at(replacement)
        worth = [
            game.utility_at(_mask_cells(game, coalitions[:, s], replacement)) - empty
            for s in range(coalitions.shape[1])
        ]
    return torch.stack(worth, 1)


def _mask_cells(game, coalition, replacement):
    layout, activation = game.layout, game.activation.clone()
    for image, row, absent in zip(activation, coalition.tolist(), replacement, strict=True):
        for cell in range(layout.count):
            if not row[cell]:
                y, x = divmod(cell, layout.grid[1])
                place = {"NCHW": (slice(None), y, x), "NHWC": (y, x), "tokens": (layout.prefix + cell,)}
                image[place[layout.kind]] = absent[place[layout.kind]]
        if layout.prefix and not row[-1]:
            image[: layout.prefix] = absent[: layout.prefix]
    return activation


def values_without_shortcut(game, coalitions):
    """Return the values of coalitions without a shortcut, to compare a shortcut with."""
    coalitions = coalitions.expand(len(game.activation), *coalitions.shape[-2:])
    with torch.inference_mode(mode=False), torch.no_grad():
        images = torch.arange(len(game.activation))
        return game._coalitions.batches.utilities(game._coalitions.general, coalitions, images) - game.empty[:, None]


def relative_difference(actual, expected, game):
    """Return the largest difference divided by the largest number among the expected values and the output."""
    largest = max(float(expected.abs().max()), float(game._trace.output.detach().abs().max()))
    return float((actual - expected).abs().max()) / largest


@cache
def network(name: str, size: int = 224) -> nn.Module:
    """An untrained network with a classifier that is not zero, its parameters frozen, its statistics those of noise."""
    torch.manual_seed(0)
    model = narrow_network(name, **({} if size == 224 or not name.startswith("timm:") else {"img_size": size}))
    for parameter in model.parameters():
        parameter.requires_grad_(requires_grad=False)
        if parameter.dim() == 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    _calibrate(model)
    return model.eval()


def _calibrate(model: nn.Module) -> None:
    """Without statistics of its own an untrained network's activations vanish or explode."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the first batch's statistics as they are
    if norms:
        model.train()(noise(4, 3, 96, 96, seed=9))


class Tokens(nn.Module):
    """The features are the image's cells as tokens, after some of noise without a place in it."""

    def __init__(self, head, prefix=0):
        super().__init__()
        self.features = nn.Flatten(2)
        self.features.forward = lambda x: torch.cat(
            [noise(1, prefix, x.shape[1], seed=3, dtype=x.dtype).expand(len(x), -1, -1), x.flatten(2).mT], 1
        )
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class ChannelsLast(nn.Module):
    """The features are the image, its channels last."""

    def __init__(self, head):
        super().__init__()
        self.features = nn.LayerNorm(1)  # its type says where the channels are
        self.features.forward = lambda x: x.permute(0, 2, 3, 1).contiguous()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def pooling(before=None, after=None, channels=4, classes=3):
    """Convolutional features, `before` at each position, their mean, `after` on it, and a classifier."""
    torch.manual_seed(0)
    steps = [before or nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), after or nn.Identity()]
    return Toy(nn.Sequential(*steps, nn.Linear(channels, classes)))


def heads():
    """A head of each structure: name, model."""
    torch.manual_seed(0)
    return {
        "general": pooling(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GELU())),
        "pooled": pooling(nn.Conv2d(4, 4, 1), nn.Sequential(nn.LayerNorm(4), nn.GELU())),
        "summed": pooling(nn.Sequential(nn.Conv2d(4, 4, 1), nn.GELU())),
    }
