"""Sampling behind windows: with a control variate it is right on average, honest, and needs fewer orders."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import game_of, noise
from helpers.networks import Toy
from helpers.toy_heads import Do, conv
from shapleycam import values
from shapleycam.values import _permutation
from shapleycam.values._exact import members
from shapleycam.values._window_control import window_control


def kinked_game(utility="rest", images=1):
    """A head of ReLUs, before and behind the mean over windows, on twelve players."""
    torch.manual_seed(0)
    tail = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = Toy(nn.Sequential(conv(3, padding=1), nn.ReLU(), Do(lambda a: a.mean((2, 3))), tail)).double()
    return game_of(model, 4 * noise(images, 4, 3, 4, dtype=torch.float64), utility)


def linear_game():
    """ReST behind a linear classifier, as most networks have it, on 49 players."""
    torch.manual_seed(0)
    model = Toy(nn.Sequential(conv(3, padding=1), nn.ReLU(), Do(lambda a: a.mean((2, 3))), nn.Linear(4, 3))).double()
    return game_of(model, 8 * noise(1, 4, 7, 7, dtype=torch.float64), "rest")


def sharp_game():
    """A tail that the linearisation misses: ReLUs with kinks where coalitions are."""
    torch.manual_seed(0)
    tail = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = Toy(nn.Sequential(conv(3, padding=1), nn.ReLU(), Do(lambda a: a.mean((2, 3))), tail)).double()
    return game_of(model, 4 * noise(1, 4, 7, 7, dtype=torch.float64), "rest")


def norm_game():
    """A LayerNorm of the mean, which is steep where nobody is there."""
    torch.manual_seed(0)
    tail = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 3))
    model = Toy(nn.Sequential(conv(3, padding=1), nn.GELU(), Do(lambda a: a.mean((2, 3))), tail)).double()
    return game_of(model, noise(1, 4, 3, 4, dtype=torch.float64), "rest")


GAMES = {"kinked": kinked_game, "norm": norm_game}


def without_control(monkeypatch):
    monkeypatch.setattr(_permutation, "control_variate", lambda *_: None)


@pytest.mark.parametrize("name", GAMES)
def test_many_seeds_are_right_on_average_and_as_often_as_they_say(name):
    game = GAMES[name]()
    truth = values.exact(game).values
    runs = [values.permutation(game, orders=32, seed=seed) for seed in range(100)]
    held = torch.cat([(low <= truth) & (truth <= high) for low, high in (run.interval() for run in runs)])
    assert 0.92 <= float(held.double().mean()) <= 0.98
    estimates = torch.cat([run.values for run in runs])
    assert float(((estimates.mean(0) - truth[0]) / (estimates.std(0) / 100**0.5)).abs().max()) < 4


@pytest.mark.parametrize(("make", "most"), [(linear_game, 0.2), (sharp_game, 1.05)], ids=["linear", "sharp"])
def test_the_standard_error_is_a_part_of_that_without_it_and_never_larger(monkeypatch, make, most):
    game = make()
    with_it = values.permutation(game, orders=256)
    without_control(monkeypatch)
    without = values.permutation(game, orders=256)
    assert float(with_it.stderr.norm()) < most * float(without.stderr.norm())
    torch.testing.assert_close(with_it.values.sum(1), game.grand)
    assert bool(((with_it.values - without.values).abs() < 5 * (with_it.stderr + without.stderr)).all())


def test_of_an_affine_utility_it_is_all_there_is():
    torch.manual_seed(0)
    model = Toy(nn.Sequential(conv(3, padding=1), nn.ReLU(), Do(lambda a: a.mean((2, 3))), nn.Linear(4, 3))).double()
    game = game_of(model, noise(2, 4, 3, 4, dtype=torch.float64))
    sampled = values.permutation(game, orders=32)
    assert float(sampled.stderr.max()) < 1e-12
    torch.testing.assert_close(sampled.values, values.exact(game).values)


def test_it_is_near_the_game_and_its_values_are_those_of_all_coalitions():
    game = kinked_game(images=2)
    control = window_control(game, 2**12, torch.arange(len(game.activation)))
    coalitions = members(torch.arange(2**12), 12)
    table = control.value(coalitions.expand(2, -1, -1), torch.arange(2))
    worth = game.value(coalitions)
    difference = (table - table[:, :1] - worth).std(1)
    assert bool((difference < 0.5 * worth.std(1)).all())
    for image in range(2):
        alone = control.centre[image]
        sums = torch.zeros(12, dtype=torch.float64)
        sizes = coalitions.sum(1)
        for player in range(12):  # the mean, over sizes, of the mean difference that the player makes
            for size in range(12):
                outside = (~coalitions[:, player] & (sizes == size)).nonzero().flatten()
                sums[player] += (table[image, outside + 2**player] - table[image, outside]).mean() / 12
        torch.testing.assert_close(alone, sums)


def test_few_orders_do_without():
    assert window_control(kinked_game(), 255, torch.arange(len(kinked_game().activation))) is None
    assert window_control(kinked_game(), 256, torch.arange(len(kinked_game().activation))) is not None
