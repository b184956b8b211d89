"""Shortcuts where something other than zero stands in for absent content: the head's own value for every coalition."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import Tokens, by_hand, game_of, network, noise, random_coalitions, relative_difference
from helpers.networks import Toy
from helpers.toy_heads import Do, conv
from shapleycam import Explainer, values
from shapleycam.game.head_runner import GeneralRunner
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.shortcuts.class_token import ClassTokenRunner
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.game.shortcuts.summed import SummedRunner
from shapleycam.game.shortcuts.windowed import WindowedRunner

MEAN = Do(lambda a: a.mean((2, 3)))
WIDTH = 8


def tail(*before):
    torch.manual_seed(0)
    return nn.Sequential(*before, nn.Linear(4, 3))


def sharp():
    linear = nn.Linear(WIDTH, WIDTH)
    nn.init.normal_(linear.weight, std=0.8)
    return linear


def attention(attend):
    """A head of tokens that reads the first row of an attention, or all of the only one."""
    torch.manual_seed(0)
    parts = {name: sharp() for name in ("q", "k", "v")} | {"query": torch.randn(1, WIDTH)}
    return nn.Sequential(Do(attend, **parts), Do(lambda x: x[:, 0]), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3))


def own_attention(self, x):
    return x + F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))


def row_attention(self, x):
    row = (self.q(x[:, :1]) @ self.k(x).mT / WIDTH**0.5).softmax(-1) @ self.v(x)
    return x[:, :1] + row.tanh()


def latent_attention(self, x):
    return F.scaled_dot_product_attention(self.query.expand(len(x), 1, -1), self.k(x), self.v(x))


CONVOLUTIONAL = {
    "mean and softmax": (PooledRunner, lambda: nn.Sequential(MEAN, nn.Softmax(1), tail())),
    "mean and layer norm": (PooledRunner, lambda: nn.Sequential(MEAN, tail(nn.LayerNorm(4)))),
    "1 x 1, mean and tanh": (PooledRunner, lambda: nn.Sequential(conv(), MEAN, tail(nn.Tanh()))),
    "mean": (SummedRunner, lambda: nn.Sequential(MEAN, tail())),
    "GELU and mean": (SummedRunner, lambda: nn.Sequential(conv(), nn.GELU(), MEAN, tail())),
    "sigmoid and mean": (SummedRunner, lambda: nn.Sequential(nn.Sigmoid(), MEAN, tail())),
    "GELU, mean and layer norm": (
        AveragedRunner,
        lambda: nn.Sequential(conv(), nn.GELU(), MEAN, tail(nn.LayerNorm(4))),
    ),
    "square, mean and tanh": (AveragedRunner, lambda: nn.Sequential(Do(lambda a: a * a), MEAN, tail(nn.Tanh()))),
    "ReLU, mean and softmax": (AveragedRunner, lambda: nn.Sequential(nn.ReLU(), MEAN, tail(nn.Softmax(1)))),
    "3 x 3": (WindowedRunner, lambda: nn.Sequential(conv(3, padding=1), nn.ReLU(), MEAN, tail(nn.Tanh()))),
    "2 x 2": (WindowedRunner, lambda: nn.Sequential(conv(2), nn.Sigmoid(), MEAN, tail(nn.LayerNorm(4)))),
    "sigmoid and 2 x 1 with padding, which is a window of one": (
        AveragedRunner,
        lambda: nn.Sequential(nn.Sigmoid(), conv((2, 1), padding=(1, 0), stride=(2, 1)), MEAN, tail(nn.Tanh())),
    ),
    "1 x 3 with padding": (
        WindowedRunner,
        lambda: nn.Sequential(nn.Sigmoid(), conv((1, 3), padding=(0, 1)), MEAN, tail(nn.Tanh())),
    ),
    "a gate that all open": (
        GeneralRunner,
        lambda: nn.Sequential(
            conv(3, padding=1), Do(lambda a: a * a.mean((2, 3), keepdim=True).sigmoid()), MEAN, tail()
        ),
    ),
}
ATTENDING = {
    "a class token": (1, own_attention),
    "registers besides": (3, own_attention),
    "a row alone": (1, row_attention),
    "a learned query": (0, latent_attention),
}


def every_coalition(players):
    return torch.tensor(list(product([False, True], repeat=players)))


def assert_right(game, runner, replacement):
    coalitions = every_coalition(game.n_players)
    expected = by_hand(game, coalitions, replacement)
    chosen = game._coalitions.runner_for(600)
    assert isinstance(chosen, runner)
    empty = game.empty[:, None]
    by_runner = game._coalitions.batches.utilities(
        chosen, coalitions.expand(len(replacement), -1, -1), torch.arange(len(replacement))
    )
    tolerance = 1e-9 * float(expected.abs().max())
    torch.testing.assert_close(by_runner - empty, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(game.value(coalitions), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_each_coalition_of_a_map_has_the_heads_own_value(name):
    """R is another at each image, channel and position."""
    runner, head = CONVOLUTIONAL[name]
    images = noise(2, 4, 2, 4, dtype=torch.float64)
    replacement = 1 + 2 * noise(2, 4, 2, 4, seed=7, dtype=torch.float64)
    game = game_of(Toy(head()).double(), images, "rest", 0, removal=replacement)
    assert_right(game, runner, replacement)


@pytest.mark.parametrize("name", ATTENDING)
def test_each_coalition_of_tokens_has_the_heads_own_value(name):
    prefix, attend = ATTENDING[name]
    images = noise(2, WIDTH, 2, 3, dtype=torch.float64)
    replacement = noise(2, prefix + 6, WIDTH, seed=7, dtype=torch.float64)
    model = Tokens(attention(attend), prefix).double()
    game = game_of(model, images, "rest", 0, removal=replacement, layout=f"tokens 2x3 after {prefix}")
    assert_right(game, ClassTokenRunner, replacement)


@pytest.mark.parametrize("name", ["mean and layer norm", "GELU, mean and layer norm"])
def test_a_path_leads_from_what_stands_in_to_the_activation(name):
    """Simpson's rule with many points, of gradients that the head gives at each of them."""
    images = noise(2, 4, 2, 4, dtype=torch.float64)
    replacement = noise(2, 4, 2, 4, seed=7, dtype=torch.float64)
    game = game_of(Toy(CONVOLUTIONAL[name][1]()).double(), images, "rest", 0, removal=replacement)
    points = torch.linspace(0, 1, 201, dtype=torch.float64)
    weights = torch.full_like(points, 2 / 3).scatter(0, torch.arange(1, 200, 2), 4 / 3)
    weights[[0, -1]] = 1 / 3
    gradients = [game.gradient((1 - t) * replacement + t * images) for t in points.tolist()]
    mean = (torch.stack(gradients) * (weights / 200)[:, None, None, None, None]).sum(0)
    expected = ((images - replacement) * mean).sum(1).flatten(1)
    torch.testing.assert_close(values.path(game, nodes=64).values, expected, rtol=1e-4, atol=1e-6)


def test_large_stand_ins_do_not_drown_the_content():
    """Everybody together is the image's own activation, whatever stands in for nobody."""
    images = noise(1, 4, 2, 4)
    model = Toy(nn.Sequential(MEAN, tail(nn.LayerNorm(4))))
    game = game_of(model, images, "rest", 0, removal=1e6 * (1 + noise(4, seed=3).abs()))
    assert isinstance(game._coalitions.runner, PooledRunner)
    everybody = torch.ones(1, game.n_players, dtype=torch.bool)
    torch.testing.assert_close(game.value(everybody)[:, 0], game.grand, rtol=1e-5, atol=1e-5)


REAL = {
    "before pooling": ("torchvision:mobilenet_v2", "features.18", 96, SummedRunner),
    "through a window": ("torchvision:mobilenet_v2", "features.16", 96, WindowedRunner),
    "a class token": ("timm:vit_tiny_patch16_224", "blocks.11.norm1", 64, ClassTokenRunner),
}


@pytest.mark.parametrize("name", REAL)
def test_coalitions_of_real_networks_have_the_heads_own_value(name):
    network_name, layer, size, runner = REAL[name]
    model = network(network_name, size)
    images = noise(1, 3, size, size)
    reference = noise(4, 3, size, size, seed=5)
    game = Explainer(model, layer=layer, removal="mean", reference=reference).game(images, target=3)
    replacement = game.contents.replacement
    coalitions = random_coalitions(1, 50, game.n_players)
    shortcut = game._coalitions.shortcut(runner)
    assert isinstance(shortcut, runner)
    by_shortcut = game._coalitions.batches.utilities(shortcut, coalitions, torch.tensor([0])) - game.empty[:, None]
    assert relative_difference(by_shortcut, by_hand(game, coalitions, replacement), game) < 1e-5
