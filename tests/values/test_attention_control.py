"""Sampling behind a class token's attention: with a control variate it is right on average, honest, and cheap."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.games import shapley_of
from helpers.masked_games import Tokens, game_of, noise
from helpers.toy_heads import Do
from shapleycam import values
from shapleycam.game.attended_utility import AttendedUtility
from shapleycam.game.attention.sums import AttendedSums
from shapleycam.values import _attention_control, _contributions, _fractions
from shapleycam.values._attended_game import AttendedGame
from shapleycam.values._attention_control import AttentionControl, attention_control
from shapleycam.values._fractions import fraction_values
from shapleycam.values._quadratic import Quadratic

WIDTH, HEADS = 8, 2
TAILS = {
    "linear": lambda: nn.Sequential(nn.Linear(WIDTH, 3), Do(lambda x: 0.3 * x)),
    "smooth": lambda: nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, 3)),
    "kinked": lambda: nn.Sequential(nn.Linear(WIDTH, 8), nn.ReLU(), nn.Linear(8, 3)),
    "norm": lambda: nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)),
}


class Reads(nn.Module):
    """A class token, or a learned query, reads all tokens sharply; `tail` goes on with the row alone."""

    def __init__(self, tail, prefix=1):
        super().__init__()
        torch.manual_seed(0)
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        for linear in (self.q, self.k):
            nn.init.normal_(linear.weight, std=0.7)
        nn.init.normal_(self.v.weight, std=1.0)
        self.query = None if prefix else nn.Parameter(torch.randn(1, 1, WIDTH))
        self.tail = TAILS[tail]()

    def forward(self, x):
        rows = x[:, :1] if self.query is None else self.query.expand(len(x), -1, -1)
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.q(rows), self.k(x), self.v(x)))
        row = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.tail((rows + row)[:, 0])


def class_token_game(tail, prefix=1, images=1, grid=(2, 5), utility="rest", **options):
    pictures = noise(images, WIDTH, *grid, dtype=torch.float64)
    return game_of(Tokens(Reads(tail, prefix), prefix).double(), pictures, utility, **options)


def without_control(monkeypatch):
    monkeypatch.setattr(_contributions, "attention_control", lambda *_: None)


@pytest.fixture
def of_few(monkeypatch):
    """Also few players are worth the control."""
    monkeypatch.setattr(_attention_control, "_MIN_RATIO", 0)


def control_of(game, coalitions=2**14):
    generators = [torch.Generator().manual_seed(image) for image in range(len(game.activation))]
    return attention_control(game, coalitions, generators, torch.arange(len(game.activation)))


def coverage_of(runs, truth):
    held = [(low <= truth) & (truth <= high) for low, high in (run.interval() for run in runs)]
    return float(torch.cat(held).double().mean())


@pytest.mark.usefixtures("of_few")
@pytest.mark.parametrize(
    ("tail", "prefix", "options"),
    [
        ("smooth", 1, {"orders": 32}),
        ("kinked", 1, {"orders": 32}),
        ("norm", 2, {"orders": 32}),
        ("kinked", 0, {"orders": 32}),
        ("linear", 1, {"tolerance": 10.0}),
    ],
    ids=str,
)
def test_many_seeds_are_right_on_average_and_as_often_as_they_say(tail, prefix, options):
    game = class_token_game(tail, prefix)
    control = control_of(game)
    assert bool(control.is_near.all()) == (tail == "linear")
    truth = values.exact(game).values
    runs = [values.permutation(game, seed=seed, **options) for seed in range(40)]
    assert 0.92 <= coverage_of(runs, truth) <= 0.98
    estimates = torch.cat([run.values for run in runs])
    assert float(((estimates.mean(0) - truth[0]) / (estimates.std(0) / 40**0.5)).abs().max()) < 4
    torch.testing.assert_close(estimates.sum(1), game.grand.expand(40))


@pytest.mark.parametrize(("tail", "most"), [("linear", 0.1), ("smooth", 0.5), ("kinked", 0.6), ("norm", 1.0)])
def test_the_standard_error_is_a_part_of_that_without_it(monkeypatch, tail, most):
    game = class_token_game(tail, grid=(5, 5))
    with_it = values.permutation(game, orders=128)
    assert with_it.notes[0][0].startswith("only the difference from a quadratic approximation")
    without_control(monkeypatch)
    without = values.permutation(game, orders=128)
    assert without.notes == ()
    assert float(with_it.stderr.norm()) < most * float(without.stderr.norm())
    assert bool(((with_it.values - without.values).abs() < 5 * (with_it.stderr + without.stderr)).all())


@pytest.mark.parametrize("tail", ["linear", "smooth"])
def test_to_a_tolerance_single_orders_come_first(tail):
    """They are enough where next to nothing is left to sample."""
    game = class_token_game(tail, grid=(5, 5))
    counted, value = [], game.value
    game.value = lambda coalitions, which: counted.append(coalitions.shape[1]) or value(coalitions, which)
    rough = values.permutation(game, tolerance=10.0)
    assert counted == ([5 * 25] if tail == "linear" else [8 * 25, 32 * 25])
    assert rough.evaluations.tolist() == [sum(counted) + AttentionControl.spent]
    counted.clear()
    fine = values.permutation(game, tolerance=float(rough.uncertainty[0]) / 3)
    assert float(fine.uncertainty[0]) <= float(rough.uncertainty[0]) / 3
    assert fine.evaluations.tolist() == [sum(counted) + AttentionControl.spent]
    assert len(counted) > 2


def test_five_single_orders_have_to_reach_half_of_the_tolerance():
    game = class_token_game("linear", grid=(5, 5))
    counted, value = [], game.value
    game.value = lambda coalitions, which: counted.append(coalitions.shape[1]) or value(coalitions, which)
    five = values.permutation(game, tolerance=10.0)
    assert counted == [5 * 25]
    assert five.samples.tolist() == [4]
    reached = float(five.uncertainty[0])
    eight = values.permutation(game, tolerance=1.9 * reached)
    assert counted[1:] == [5 * 25, 3 * 25]
    assert eight.samples.tolist() == [6]
    assert values.permutation(game, tolerance=2.1 * reached).evaluations.tolist() == five.evaluations.tolist()


def test_each_image_by_itself():
    together = values.permutation(class_token_game("kinked", images=3, grid=(5, 5)), tolerance=0.02)
    pictures = noise(3, WIDTH, 5, 5, dtype=torch.float64)
    for image in range(3):
        model = Tokens(Reads("kinked"), 1).double()
        alone = values.permutation(game_of(model, pictures[image : image + 1], "rest"), tolerance=0.02)
        torch.testing.assert_close(together.values[image], alone.values[0], atol=1e-9, rtol=1e-7)
        assert together.evaluations[image] == alone.evaluations[0]


def test_regions_are_players_too():
    """The control's own values are near those of the game; its players are regions, of 4 cells each, and the prefix."""
    game = class_token_game("linear", grid=(4, 6), players=(2, 3))
    truth, centre = values.exact(game).values, control_of(game).centre
    assert float((centre - truth).norm()) < 0.1 * float(truth.norm())


@pytest.mark.usefixtures("of_few")
def test_another_removal():
    game = class_token_game("smooth", removal="mean")
    truth = values.exact(game).values
    sampled = values.permutation(game, orders=400)
    assert sampled.notes[0][0].startswith("only the difference from a quadratic approximation")
    low, high = sampled.interval(0.9999)
    assert bool(((low <= truth) & (truth <= high)).all())


def test_tokens_that_take_nearly_all_of_the_attention_when_they_are_absent():
    """The exponentials of absent players may be far larger than those of present ones."""
    one = torch.ones(1, 1, dtype=torch.float64)
    absent = torch.tensor([[[1.0], [1e-3], [1e-3]]], dtype=torch.float64)
    present = torch.tensor([[[1e-4], [2e-3], [5e-4]]], dtype=torch.float64)
    numerators = present * torch.tensor([[[1.0], [-2.0], [3.0]]], dtype=torch.float64)
    sums = AttendedSums(
        torch.cat([0 * one[None], absent.sum(1)[None]], 2), torch.cat([numerators, present - absent], 2)[:, :, None]
    )
    quadratic = Quadratic(one[0, 0], one[0], 0 * one, 0 * one[0])
    game = AttendedGame(sums, (quadratic,), has_prefix=False)
    torch.testing.assert_close(game.linear_values(), shapley_of(table_of_game(game)), rtol=1e-4, atol=1e-6)


class TestWithout:
    def test_few_orders(self):
        game = class_token_game("smooth", grid=(5, 5))
        assert control_of(game, 4 * AttentionControl.spent - 1) is None
        assert control_of(game, 4 * AttentionControl.spent) is not None

    def test_a_derivative(self, monkeypatch):
        """Sampling asks for none: where the utility has no gradient, all of it is sampled."""
        game = class_token_game("smooth", grid=(5, 5))
        monkeypatch.setattr(AttendedUtility, "points", lambda *_: None)
        assert control_of(game) is None
        assert values.permutation(game, orders=32).notes == ()

    @pytest.mark.usefixtures("of_few")
    def test_quadrature(self, monkeypatch):
        """Where it is not accurate, all of the control is sampled, and the result is as right."""
        monkeypatch.setattr(_fractions, "_NODES", 1)
        game = class_token_game("smooth")
        assert control_of(game)._games[0].linear_values() is None
        truth = values.exact(game).values
        assert (
            0.92 <= coverage_of([values.permutation(game, orders=32, seed=seed) for seed in range(40)], truth) <= 0.98
        )


def random_sums(states, n, sharpness, pairs=3, r=2, seed=0):
    """Return sums as attention has them: absent players count too, with less differing weights."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    present, absent = (sharpness * normal(states, n, pairs, 1)).exp(), (0.3 * normal(states, n, pairs, 1)).exp()
    numerators = present * normal(states, n, pairs, r)
    share = torch.cat([numerators, present - absent], 3)
    base = torch.cat([normal(states, pairs, r), absent.sum(1)], 2)
    return AttendedSums(base, share)


def random_attended_game(states, n, sharpness=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    r = 2

    def quadratic():
        parts = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in [(), (r,), (r, r), (r,)]]
        return Quadratic(parts[0], parts[1], parts[2] + parts[2].mT, parts[3])

    sums = random_sums(states, n, sharpness, seed=seed)
    return AttendedGame(sums, tuple(quadratic() for _ in range(states)), has_prefix=states == 2)


def worth_of(game, members):
    """c(S), as it is defined."""
    n = game.sums.share.shape[1]
    state = 1 if game.has_prefix and n - 1 not in members else 0
    sums = game.sums.base[state] + game.sums.share[state][sorted(members)].sum(0)
    return game.quadratics[state].value((sums[..., :-1] / sums[..., -1:]).sum(0))


def table_of_game(game, linear=False):
    n = game.sums.share.shape[1]
    if linear:
        quadratics = tuple(Quadratic(q.constant, q.slope, q.curvature * 0, q.middle) for q in game.quadratics)
        game = AttendedGame(game.sums, quadratics, game.has_prefix)
    members = [{player for player in range(n) if number >> player & 1} for number in range(2**n)]
    return torch.stack([worth_of(game, each) for each in members])


@pytest.mark.parametrize("states", [1, 2])
def test_all_orders_together_give_the_shapley_values(states):
    game = random_attended_game(states, 5)
    orders = torch.tensor(list(permutations(range(5))))
    expected = shapley_of(table_of_game(game))
    torch.testing.assert_close(game.contributions(orders).mean(0), expected)
    tokens = torch.tensor(list(permutations(range(game.n_tokens))))
    torch.testing.assert_close(game.mean_contributions(tokens).mean(0), expected)


@pytest.mark.parametrize("states", [1, 2])
@pytest.mark.parametrize("sharpness", [0.3, 2.0, 4.0])
def test_linear_values_are_those_of_all_coalitions(states, sharpness):
    game = random_attended_game(states, 7, sharpness, seed=3)
    expected = shapley_of(table_of_game(game, linear=True))
    actual = game.linear_values()
    assert actual is not None
    assert float((actual - expected).norm()) < 1e-5 * float(expected.norm())


@pytest.mark.parametrize("sharpness", [1.0, 3.0, 6.0])
def test_quadrature_of_many_players_has_converged(monkeypatch, sharpness):
    sums = random_sums(2, 197, sharpness, pairs=6, r=1)
    parts = (sums.base[..., 0], sums.base[..., 1], sums.share[..., 0], sums.share[..., 1])
    constants = torch.zeros(2, dtype=torch.float64)
    actual = fraction_values(*parts, constants)
    for name, value in {"_NODES": 64, "_STEP": 0.25, "_LEFT": 1e-6}.items():
        monkeypatch.setattr(_fractions, name, value)
    finer = fraction_values(*parts, constants)
    assert actual is not None
    assert float((actual - finer).norm()) < 1e-5 * float(finer.norm())
