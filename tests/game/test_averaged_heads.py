"""Heads that average what each position becomes by itself, and then do anything."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.masked_games import game_of
from helpers.networks import Toy
from helpers.toy_heads import AVERAGED, NEITHER, Do, assert_right, conv, square_images, structure
from shapleycam.errors import ReplayError
from shapleycam.game.head_halves import run_from_mean, run_to_mean
from shapleycam.game.shortcuts.averaged import AveragedRunner

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


SEVERAL_MEANS = {
    "of two functions": lambda a: F.gelu(a).mean((2, 3)) + a.square().mean((2, 3)),
    "of channels afterwards": lambda a: F.gelu(a).mean((2, 3)) - F.gelu(a).mean((2, 3)).mean(1, keepdim=True),
    "and a position": lambda a: F.gelu(a).mean((2, 3)) + a[..., 0, 0],
}


@pytest.mark.parametrize("name", SEVERAL_MEANS)
def test_more_than_one_mean_is_no_shortcut(name):
    model = Toy(nn.Sequential(Do(SEVERAL_MEANS[name]), Do(torch.tanh), nn.Linear(4, 3)))
    assert structure(model) == NEITHER
    assert_right(model, square_images())


def test_one_mean_used_twice_is_one():
    model = Toy(nn.Sequential(Do(lambda a: F.gelu(a).mean((2, 3))), Do(lambda m: m * m.softmax(1)), nn.Linear(4, 3)))
    assert structure(model) == AVERAGED
    assert_right(model, square_images())


def test_a_mean_of_a_constant_beside_it_is_no_shortcut():
    """Which of the two means is replaced could not be told."""
    model = Toy(nn.Sequential(Do(lambda a: F.gelu(a).mean((2, 3)) * a.new_ones(4).mean(0)), nn.ReLU(), nn.Linear(4, 3)))
    assert structure(model) == NEITHER
    assert_right(model, square_images())


class TestHalves:
    def test_the_halves_make_the_whole(self):
        a = square_images(5)

        def head(x):
            return x.exp().mean((2, 3)).log()

        taken = run_to_mean(lambda: head(a))
        mean = taken.result
        torch.testing.assert_close(taken.summands, a.exp().flatten(2).mT)
        torch.testing.assert_close(mean, a.exp().mean((2, 3)))
        torch.testing.assert_close(run_from_mean(lambda: head(a * 0), mean), head(a))

    @pytest.mark.parametrize("head", [lambda a: a.sum(), lambda a: a.mean() + a.mean(1).sum()])
    def test_none_or_several_are_refused(self, head):
        with pytest.raises(ReplayError, match=r"takes [02] means; expected one"):
            run_to_mean(lambda: head(square_images()))

    def test_another_shape_is_refused(self):
        a = square_images(5)
        with pytest.raises(ReplayError, match=r"mean of shape \(rows, 4,\) where \(rows, 3,\) was recorded"):
            run_from_mean(lambda: a.mean((2, 3)), torch.zeros(5, 3))


def test_memory_bounds_the_coalitions_at_once():
    model = Toy(nn.Sequential(conv(), nn.GELU(), Do(lambda a: a.mean((2, 3))), ANYTHING["layer norm"]())).double()
    game = game_of(model, square_images(), "rest", 0)
    assert game._coalitions.runner.bytes_per_coalition >= 4 * 8
