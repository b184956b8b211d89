"""Heads that add up what each position becomes by itself, by weights of any kind, and then do anything."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import Tokens, by_hand, game_of, noise, random_coalitions
from helpers.networks import Toy
from helpers.toy_heads import AVERAGED, Do, assert_right, conv, square_images, structure
from shapleycam import Explainer
from shapleycam.errors import ReplayError
from shapleycam.game.head_halves import run_from_sum, run_to_sum
from shapleycam.game.head_recording import record_head
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.windows import prove_window_sum
from shapleycam.models.layout import Layout
from shapleycam.values import exact

POINTWISE = {
    "a convolution of size 1 and GELU": lambda: nn.Sequential(conv(), nn.GELU()),
    "a residual block": lambda: Do(lambda self, x: x + self.conv(x).relu(), conv=conv()),
}
ANYTHING = {
    "ReLU and a linear layer": lambda: nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3)),
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3)),
    "a mean's square": lambda: nn.Sequential(Do(lambda x: x * x), nn.Linear(4, 3)),
    "softmax": lambda: nn.Sequential(nn.Softmax(1), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("after", ANYTHING)
@pytest.mark.parametrize("before", POINTWISE)
@pytest.mark.parametrize("is_kept", [False, True])
def test_each_coalition_has_the_models_own_value(before, after, is_kept):
    pool = Do(lambda a: a.mean((2, 3), keepdim=is_kept).flatten(1))
    model = Toy(nn.Sequential(POINTWISE[before](), pool, ANYTHING[after]()))
    assert structure(model) == AVERAGED
    game = assert_right(model, square_images())
    assert isinstance(game._coalitions.runner, AveragedRunner)


BY_PLACE = {
    "a linear layer of everything": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 6)),
    "a convolution of the map's size": lambda: nn.Sequential(nn.Conv2d(4, 6, 4), nn.Flatten()),
    "a linear layer over positions": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(16, 2), nn.Flatten()),
    "the mean's four quarters, then a linear layer": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 6)
    ),
    "nine parts that overlap, then a linear layer": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 6)
    ),
    "more parts than positions, then a linear layer": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(144, 6)
    ),
    "average pooling, then a linear layer": lambda: nn.Sequential(
        nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten(), nn.Linear(16, 6)
    ),
    "channels last, then a linear layer": lambda: nn.Sequential(
        Do(lambda a: a.permute(0, 2, 3, 1)), nn.Flatten(), nn.Linear(64, 6)
    ),
    "shuffled channels, pooled, then a linear layer": lambda: nn.Sequential(
        nn.AvgPool2d(2),
        Do(lambda a: a.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)),
        nn.Flatten(),
        nn.Linear(16, 6),
    ),
    "a weight each": lambda: Do(lambda self, a: (a * self.weight).sum((2, 3)), weight=noise(4, 4)),
    "a softmax of learned weights": lambda: Do(
        lambda self, a: (self.query.softmax(1) @ a.flatten(2).mT)[:, 0], query=noise(1, 16)
    ),
    "a bias each, and their mean": lambda: Do(lambda self, a: (a + self.bias).relu().mean((2, 3)), bias=noise(4, 4)),
    "half of them": lambda: Do(lambda a: a[:, :, 1:3].mean((2, 3))),
    "sum": lambda: Do(lambda a: a.sum((2, 3))),
    "constants beside": lambda: nn.Sequential(
        Do(lambda self, a: torch.cat([self.other.expand(len(a), -1, -1, -1), a], 1), other=noise(1, 2, 4, 4)),
        nn.Conv2d(6, 5, 1),
        nn.GELU(),
        Do(lambda a: a.mean((2, 3))),
    ),
}


@pytest.mark.parametrize("after", ["layer norm", "softmax"])
@pytest.mark.parametrize("name", BY_PLACE)
def test_every_position_may_count_in_its_own_way(name, after):
    torch.manual_seed(0)
    pool = BY_PLACE[name]()
    width = pool.double()(square_images()).shape[1]
    last = {"layer norm": nn.LayerNorm(width), "softmax": nn.Softmax(1)}[after]
    model = Toy(nn.Sequential(conv(), nn.GELU(), pool, last, nn.Linear(width, 3)))
    game = assert_right(model, square_images())
    assert game.structure == AVERAGED
    assert isinstance(game._coalitions.runner, AveragedRunner)


@pytest.mark.parametrize("name", BY_PLACE)
def test_logits_behind_such_a_sum_have_exact_values_in_closed_form(name):
    """The game is additive: each player's value is what it is worth alone."""
    torch.manual_seed(0)
    pool = BY_PLACE[name]()
    width = pool.double()(square_images()).shape[1]
    model = Toy(nn.Sequential(nn.GELU(), pool, nn.Linear(width, 3))).double()
    game = game_of(model, square_images(), "logit", [0, 1, 2])
    if not game.structure.is_sum:  # what the mean's own shortcut does not know
        assert game.structure == replace(AVERAGED, is_affine=True)
    alone = by_hand(game, torch.eye(16, dtype=torch.bool))
    values = exact(game).values
    torch.testing.assert_close(values, alone, rtol=0, atol=1e-10 * float(alone.abs().max()))
    torch.testing.assert_close(values.sum(1), game.grand, rtol=1e-10, atol=1e-10)


TOGETHER = {
    "weights that depend on the content": lambda a: (a.flatten(2) * a.flatten(2).mean(1, keepdim=True).softmax(2)).sum(
        2
    ),
    "squeeze and excitation": lambda a: (a * a.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3)),
    "the largest": lambda a: a.amax((2, 3)),
    "the largest part": lambda a: F.adaptive_max_pool2d(a, 2).flatten(1),
    "of a roll": lambda a: (a * a.roll(1, 3)).mean((2, 3)),
    "a matrix before, and the position itself": lambda a: a.flatten(1) @ noise(64, 4).to(a) + a[..., 0, 0].relu(),
    "of two functions": lambda a: F.gelu(a).mean((2, 3)) + a.square().mean((2, 3)),
    "of channels afterwards": lambda a: F.gelu(a).mean((2, 3)) - F.gelu(a).mean((2, 3)).mean(1, keepdim=True),
    "and a position": lambda a: F.gelu(a).mean((2, 3)) + a[..., 0, 0],
    "pooled, then not affine": lambda a: F.avg_pool2d(a, 2).tanh().flatten(1).softmax(1),
    "the places of the largest": lambda a: (
        a.mean((2, 3)) + F.max_pool2d(a, 4, return_indices=True)[1].flatten(1).to(a) / 16
    ),
    "unpooled": lambda a: F.max_unpool2d(*F.max_pool2d(a, 2, return_indices=True), 2).mean((2, 3)),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_what_looks_at_positions_together_is_no_such_sum(name):
    width = TOGETHER[name](square_images()).shape[1]
    model = Toy(nn.Sequential(Do(TOGETHER[name]), Do(torch.tanh), nn.Linear(width, 3)))
    assert not structure(model).averages_positions
    assert_right(model, square_images())


def test_one_mean_used_twice_is_one():
    model = Toy(nn.Sequential(Do(lambda a: F.gelu(a).mean((2, 3))), Do(lambda m: m * m.softmax(1)), nn.Linear(4, 3)))
    assert structure(model) == AVERAGED
    assert_right(model, square_images())


def test_a_mean_of_a_constant_beside_it_is_told_from_it():
    model = Toy(nn.Sequential(Do(lambda a: F.gelu(a).mean((2, 3)) * a.new_ones(4).mean(0)), nn.ReLU(), nn.Linear(4, 3)))
    assert structure(model) == AVERAGED
    assert_right(model, square_images())


def test_a_linear_layer_of_each_image_s_own_weights():
    """They enter as a further input: the table of an image is made of its own."""

    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.fc = nn.Identity(), nn.Linear(4, 3)

        def forward(self, x, weights):
            return self.fc((self.features(x).relu() * weights[:, None]).mean((2, 3)).tanh())

    model, images = Weighted().double().eval(), square_images()
    weights = noise(3, 4, 4, dtype=torch.float64)
    explainer = Explainer(model, layer="features")
    game = explainer.game(images, target=0, utility="rest", inputs={"weights": weights})
    coalitions = random_coalitions(3, 40, 16)
    torch.testing.assert_close(game.value(coalitions), by_hand(game, coalitions), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kept", [slice(1, None), slice(0, None), slice(2, None)], ids=["without", "with", "a part"])
@pytest.mark.parametrize("prefix", [0, 2])
def test_a_mean_of_tokens_with_and_without_those_of_the_prefix(prefix, kept):
    head = nn.Sequential(nn.GELU(), Do(lambda a: a[:, kept].mean(1)), nn.LayerNorm(4), nn.Linear(4, 3))
    model = Tokens(head, prefix).double()
    game = game_of(model, noise(2, 4, 4, 4, dtype=torch.float64), "rest", 0, layout=f"tokens 4x4 after {prefix}")
    coalitions = random_coalitions(2, 40, game.n_players)
    assert game.structure == AVERAGED
    torch.testing.assert_close(game.value(coalitions), by_hand(game, coalitions), rtol=0, atol=1e-12)


def test_bits_do_not_depend_on_batch_mates():
    images = square_images()
    model = Toy(nn.Sequential(conv(), nn.GELU(), nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 3))).double()
    coalitions = random_coalitions(40, 16)
    together = game_of(model, images, "rest", 0).value(coalitions)
    alone = torch.cat([game_of(model, image[None], "rest", 0).value(coalitions) for image in images])
    assert torch.equal(together, alone)


def recorded_sum(head, activation):
    proven = prove_window_sum(record_head(head, activation), Layout("NCHW", tuple(activation.shape[2:])))
    assert proven is not None
    return proven


class TestHalves:
    def test_the_halves_make_the_whole(self):
        a = square_images(5)

        def head(x):
            return x.exp().mean((2, 3)).log()

        proven = recorded_sum(head, a)
        taken = run_to_sum(lambda: head(a), proven)
        torch.testing.assert_close(taken.contributions, a.exp().flatten(2).permute(2, 0, 1) / 16)
        torch.testing.assert_close(taken.result, a.exp().mean((2, 3)))
        torch.testing.assert_close(run_from_sum(lambda: head(a * 0), proven, taken.result), head(a))

    def test_a_matrix_is_divided_among_positions(self):
        a, weight, bias = square_images(2), noise(5, 64, dtype=torch.float64), noise(5, dtype=torch.float64)
        proven = recorded_sum(lambda x: F.linear(x.flatten(1), weight, bias).tanh(), a)
        taken = run_to_sum(lambda: F.linear(a.flatten(1), weight, bias), proven)
        by_position = torch.einsum("bkn,fkn->nbf", a.flatten(2), weight.unflatten(1, (4, 16)))
        torch.testing.assert_close(taken.contributions, by_position)

    @pytest.mark.parametrize("other", [lambda a: a.sum(), lambda a: a.mean((2, 3)) + a.mean(1).sum()])
    def test_another_number_of_calls_is_refused(self, other):
        proven = recorded_sum(lambda a: a.mean((2, 3)), square_images(5))
        with pytest.raises(ReplayError, match=r"the head calls mean [02] times; expected 1"):
            run_to_sum(lambda: other(square_images(5)), proven)

    def test_another_shape_is_refused(self):
        a = square_images(5)
        proven = recorded_sum(lambda a: a.mean((2, 3)), a)
        with pytest.raises(ReplayError, match=r"sum of shape \(rows, 4\); expected \(rows, 3\)"):
            run_from_sum(lambda: a.mean((2, 3)), proven, torch.zeros(5, 3))


def test_memory_bounds_the_coalitions_at_once():
    model = Toy(nn.Sequential(conv(), nn.GELU(), Do(lambda a: a.mean((2, 3))), ANYTHING["layer norm"]())).double()
    game = game_of(model, square_images(), "rest", 0)
    assert game._coalitions.runner.bytes_per_coalition >= 4 * 8
