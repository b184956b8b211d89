"""Orders cut short: right on average, honest, cheaper where the first players decide most, and only taken there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.games import random_table, table_game, table_of
from helpers.masked_games import game_of, noise
from helpers.networks import Toy
from helpers.toy_heads import Do
from shapleycam import values
from shapleycam.errors import ToleranceWarning
from shapleycam.values import _cut_short, _front
from shapleycam.values._front import FrontSampler


def norm_game(grid=(3, 4), shift=0.0):
    """A LayerNorm of the mean: the first player sets its direction."""
    torch.manual_seed(0)
    model = Toy(nn.Sequential(Do(lambda a: a.mean((2, 3))), nn.LayerNorm(16), nn.Linear(16, 3))).double()
    return game_of(model, shift * noise(1, 16, 1, 1, seed=5) + noise(1, 16, *grid, dtype=torch.float64), "rest")


def unstructured_game():
    return table_game(random_table(8, seed=3))


@pytest.fixture
def short_cut(monkeypatch):
    monkeypatch.setattr(_front, "CUT", 2)


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [(norm_game, 0.06), (unstructured_game, 1e9)],
    ids=["a norm, to a tolerance", "no structure"],
)
@pytest.mark.usefixtures("short_cut")
def test_many_seeds_are_right_on_average_and_as_often_as_they_say(make, tolerance):
    game = make()
    truth = values.exact(game).values
    samplers = [FrontSampler(game, 0, torch.Generator().manual_seed(seed)) for seed in range(60)]
    runs = [sampler.to_tolerance(tolerance, 20_000) for sampler in samplers]
    held = torch.cat([(low <= truth) & (truth <= high) for low, high in (run.interval() for run in runs)])
    assert 0.92 <= float(held.double().mean()) <= 0.98
    estimates = torch.cat([run.values for run in runs])
    assert float(((estimates.mean(0) - truth[0]) / (estimates.std(0) / 60**0.5)).abs().max()) < 4
    torch.testing.assert_close(estimates.sum(1), game.grand.expand(60))


@pytest.mark.usefixtures("short_cut")
def test_evaluations_are_counted():
    game = norm_game()
    counted, value = [], game.value
    game.value = lambda coalitions, images: counted.append(len(coalitions)) or value(coalitions, images)
    shares = FrontSampler(game, 0, torch.Generator().manual_seed(0)).to_tolerance(0.05, 10_000)
    assert shares.evaluations.tolist() == [sum(counted)]


def test_it_is_taken_where_the_first_players_decide_most(monkeypatch):
    game = norm_game((7, 7), shift=1.0)
    cut = values.permutation(game, tolerance=0.03)
    assert cut.notes[0][0] == "most orders were cut short, since the first players decide most"
    assert float(cut.uncertainty[0]) <= 0.03
    monkeypatch.setattr(_cut_short, "front_sampler", lambda *_: None)
    whole = values.permutation(game, tolerance=0.03)
    assert whole.notes == ()
    assert 1.5 * int(cut.evaluations[0]) < int(whole.evaluations[0])
    assert float((cut.values - whole.values).norm()) < 4 * float((cut.stderr + whole.stderr).norm())


def test_it_is_not_taken_elsewhere():
    torch.manual_seed(0)
    model = Toy(nn.Sequential(Do(lambda a: a.mean((2, 3))), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))).double()
    shares = values.permutation(game_of(model, 8 * noise(1, 4, 7, 7, dtype=torch.float64), "rest"), tolerance=0.002)
    assert shares.notes == ()


def test_the_same_call_gives_the_same_bits():
    first, second = (values.permutation(norm_game((7, 7), shift=1.0), tolerance=0.05) for _ in range(2))
    assert torch.equal(first.values, second.values)


class TestRarePlayers:
    """Standard errors of few samples promise nothing where a player is hardly ever pivotal."""

    def test_voters_who_are_hardly_ever_pivotal_are_named(self):
        weights = [40, 30, 30, 1, 1, 1]
        game = table_game(table_of(6, lambda s: sum(weights[j] for j in s) >= 53))
        with pytest.warns(ToleranceWarning, match="mattered in a few of the orders alone, as a rarely pivotal voter"):
            shares = values.permutation(game, orders=32)
        assert "take hundreds of them" in shares.notes[0][0]

    @pytest.mark.filterwarnings("ignore:.*mattered in a few of the orders alone")
    def test_who_never_mattered_is_noted(self):
        """Player 0 matters where exactly player 1 came before it: once in 56 orders."""
        game = table_game(table_of(8, lambda s: len(s - {0}) ** 2 + (len(s) == 2 and {0, 1} <= s)))
        noted = set()
        for seed in range(12):
            shares = values.permutation(game, orders=32, seed=seed)
            is_noted = "player 0 changed nothing in any order that was drawn" in str(shares.notes)
            assert is_noted == (float(shares.values[0, 0]) == 0)
            noted.add(is_noted)
        assert noted == {True, False}

    def test_smooth_games_and_empty_cells_are_not(self):
        assert values.permutation(norm_game(), orders=64).notes == ()
        torch.manual_seed(0)
        model = Toy(nn.Sequential(Do(lambda a: a.mean((2, 3))), nn.LayerNorm(4), nn.Linear(4, 3))).double()
        images = noise(1, 4, 3, 4, dtype=torch.float64)
        images[..., 0, 0] = 0
        shares = values.permutation(game_of(model, images, "rest"), orders=64)
        assert float(shares.values[0, 0]) == 0
        assert shares.notes == ()
