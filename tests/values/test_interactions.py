"""Interactions of two players: of the second-order game, and sampled, against the index as it is defined."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from helpers.games import interactions_of, random_table, smooth_game, table_game, table_of
from helpers.lazy_modules import LazyModule
from helpers.networks import Smooth, quadratic
from shapleycam import Explainer, values
from shapleycam.errors import OptionError
from shapleycam.values._interactions import Interactions, _paths

exact_game_theory = LazyModule("shapiq.game_theory.exact")


def table_of_game(game):
    """Return the value of each coalition of the first image's game."""
    n = game.n_players
    inside = (torch.arange(2**n)[:, None] >> torch.arange(n)) % 2 == 1
    return game.value(inside)[0]


def make_game(model, images, utility="logit", **options):
    return Explainer(model, layer="features").game(images, target=0, utility=utility, **options)


@pytest.fixture
def pairs_game():
    """(game, w, M, a) of the score w·a + a·M·a."""
    generator = torch.Generator().manual_seed(6)
    weight = torch.randn(6, dtype=torch.float64, generator=generator)
    matrix = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    content = torch.randn(6, dtype=torch.float64, generator=generator)
    symmetric = matrix + matrix.T
    return make_game(quadratic(weight, symmetric), content.reshape(1, 1, 2, 3)), weight, symmetric, content


def test_own_and_pairs_of_a_quadratic_head_by_pencil(pairs_game):
    game, weight, matrix, content = pairs_game
    interactions = values.interactions(game)
    expected = 2 * content[:, None] * matrix * content
    torch.testing.assert_close(interactions.pairs[0], expected - expected.diag().diag(), atol=1e-9, rtol=0)
    torch.testing.assert_close(interactions.own[0], weight * content + matrix.diag() * content**2, atol=1e-9, rtol=0)
    assert interactions.evaluations.tolist() == [7]
    assert interactions.stderr is None


def test_pairs_of_a_quadratic_head_are_the_index_as_it_is_defined(pairs_game):
    game = pairs_game[0]
    expected = interactions_of(table_of_game(game))
    torch.testing.assert_close(values.interactions(game).pairs[0], expected, atol=1e-9, rtol=0)
    sampled = values.sampled_interactions(game, rounds=2)
    torch.testing.assert_close(sampled.pairs[0], expected, atol=1e-9, rtol=0)
    assert float(sampled.stderr.max()) < 1e-9


@pytest.mark.parametrize("players", [None, (2, 3)])
def test_own_effects_and_each_pair_once_are_the_second_order_game(players):
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    game = make_game(Smooth(), images, "rest", players=players)
    interactions = values.interactions(game)
    worth = (game.activation * (game.gradient() - game.hvp(game.activation) / 2)).flatten(1).sum(1)
    torch.testing.assert_close(
        interactions.own.sum(1) + interactions.pairs.sum((1, 2)) / 2, worth, atol=1e-10, rtol=1e-9
    )
    shared = interactions.own + interactions.pairs.sum(2) / 2
    torch.testing.assert_close(shared, values.taylor(game, order=2).values, atol=1e-10, rtol=1e-9)
    assert torch.equal(interactions.pairs, interactions.pairs.mT)
    assert not interactions.pairs.diagonal(dim1=1, dim2=2).any()
    assert float(interactions.pairs.abs().max()) > 1e-5


def test_regions_interact_as_their_cells_do_together():
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    cells, regions = (make_game(Smooth(), images, "rest", players=players) for players in (None, (2, 2)))
    member = regions.players.member[0]
    belongs = torch.nn.functional.one_hot(member).double()
    of_regions, of_cells = values.interactions(regions), values.interactions(cells)
    together = belongs.T @ of_cells.pairs[0] @ belongs
    torch.testing.assert_close(of_regions.pairs[0], together - together.diag().diag(), atol=1e-10, rtol=1e-9)
    torch.testing.assert_close(
        of_regions.own[0], of_cells.own[0] @ belongs + together.diag() / 2, atol=1e-10, rtol=1e-9
    )


@pytest.mark.parametrize("n", [3, 5, 6])
def test_shapiq_defines_the_index_alike(n):
    table = random_table(n, seed=n)
    numbers = 2 ** torch.arange(n)
    oracle = exact_game_theory.ExactComputer(lambda rows: table[torch.as_tensor(rows).long() @ numbers].numpy(), n)
    expected = torch.as_tensor(oracle("SII", 2).get_n_order_values(2))
    torch.testing.assert_close(interactions_of(table), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_sampled_pairs_come_to_the_index(n):
    table = random_table(n, seed=n)
    sampled, expected = values.sampled_interactions(table_game(table), rounds=400), interactions_of(table)
    off_by = (sampled.pairs[0] - expected).abs()
    assert bool((off_by <= 4.5 * sampled.stderr[0] + 1e-12).all())
    assert float(sampled.stderr.max()) < 0.25
    torch.testing.assert_close(sampled.pairs, sampled.pairs.mT, atol=1e-12, rtol=0)
    assert not sampled.pairs.diagonal(dim1=1, dim2=2).any()


@pytest.mark.parametrize("n", [5, 6, 7])
def test_sampled_pairs_are_right_on_average_and_their_errors_honest(n):
    """Measured over five hundred seeds of three rounds each."""
    table = random_table(n, seed=10 + n)
    sampled = values.sampled_interactions(table_game(table, copies=500), rounds=3)
    first, second = torch.triu_indices(n, n, 1)
    pairs, stderr = sampled.pairs[:, first, second], sampled.stderr[:, first, second]
    deviations = (pairs.mean(0) - interactions_of(table)[first, second]) / (pairs.std(0) / 500**0.5)
    assert float(deviations.abs().max()) < 4
    torch.testing.assert_close((stderr**2).mean(0).sum(), pairs.var(0).sum(), rtol=0.1, atol=0)


def test_sampled_pairs_of_a_smooth_head():
    game = smooth_game()
    sampled, expected = values.sampled_interactions(game, rounds=100), interactions_of(table_of_game(game))
    assert bool(((sampled.pairs[0] - expected).abs() <= 5 * sampled.stderr[0] + 1e-12).all())
    assert float((sampled.pairs[0] - expected).norm() / expected.norm()) < 0.1


@pytest.mark.parametrize("n", [2, 3, 6, 7])
def test_a_round_meets_every_pair(n):
    """Of (Σ 1)² each pair earns 2 in any order, so a pair that was left out would show."""
    game = table_game(table_of(n, lambda s: len(s) ** 2))
    sampled = values.sampled_interactions(game, rounds=2)
    torch.testing.assert_close(sampled.pairs[0], 2 - 2 * torch.eye(n, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize("n", range(2, 14))
def test_every_two_are_neighbours_exactly_once(n):
    paths = _paths(n)
    m = n + n % 2
    assert paths.shape == (m // 2, m)
    assert bool((paths.sort(1).values == torch.arange(m)).all())
    met = [frozenset(pair) for path in paths.tolist() for pair in pairwise(path)]
    assert len(met) == len(set(met)) == m * (m - 1) // 2


@pytest.mark.parametrize(("n", "each"), [(2, 4), (5, 36), (6, 36)])
def test_evaluations_are_counted(n, each):
    """A round is n / 2 orders of 2n coalitions, n made even."""
    game, counted = table_game(random_table(n), copies=2), []
    value = game.value
    game.value = lambda coalitions: counted.append(coalitions.shape[1]) or value(coalitions)
    sampled = values.sampled_interactions(game, rounds=3)
    assert counted == [each] * 3
    assert sampled.evaluations.tolist() == [3 * each] * 2
    assert sampled.own is None


def test_seeds():
    game = smooth_game(copies=2)
    first, same_seed, other_seed = (values.sampled_interactions(game, rounds=2, seed=seed).pairs for seed in (3, 3, 4))
    assert torch.equal(first, same_seed)
    assert float((first - other_seed).abs().amax((1, 2)).min()) > 1e-9
    assert float((first[0] - first[1]).abs().max()) > 1e-9


@pytest.mark.parametrize(
    ("rounds", "players", "expected_message"), [(1, None, "1 rounds for 8"), (0, None, "0 rounds for 8")]
)
def test_sampling_needs_two_rounds(rounds, players, expected_message):
    with pytest.raises(OptionError, match=f"{expected_message} players; expected 2 or more of each"):
        values.sampled_interactions(smooth_game(players=players), rounds=rounds)


def test_one_player_has_nobody_to_interact_with():
    with pytest.raises(OptionError, match="16 rounds for 1 players; expected 2 or more of each"):
        values.sampled_interactions(smooth_game(players=(1, 1)))


def test_the_strongest_pairs():
    pairs = torch.zeros(2, 4, 4)
    for (i, j), worth in {(0, 1): 2.0, (0, 3): -5.0, (1, 2): 0.5, (2, 3): 3.0}.items():
        pairs[1, i, j] = pairs[1, j, i] = worth
    interactions = Interactions(pairs, None, None, torch.tensor([1, 1]))
    assert interactions.strongest(1, 3) == [(0, 3, -5.0), (2, 3, 3.0), (0, 1, 2.0)]
    assert len(interactions.strongest(1)) == 6
    assert {worth for _, _, worth in interactions.strongest()} == {0.0}
    assert interactions.strongest(1, 0) == []


def test_at_the_input_runs_of_the_model_are_limited():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(72, 2))
    game = Explainer(model, layer="input", device="cpu").game(torch.rand(1, 3, 8, 8), players=(2, 2))
    evaluated = values.sampled_interactions(game, rounds=2, runs=32).evaluations
    assert evaluated.tolist() == [32]  # 2 rounds of 2 orders with 4 + 4 coalitions
    with pytest.raises(OptionError, match=r"2 rounds for the pairs of 4 players take 32 runs .* expected at most 31"):
        values.sampled_interactions(game, rounds=2, runs=31)
