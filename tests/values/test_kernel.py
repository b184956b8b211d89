"""KernelSHAP: which coalitions it draws, what it fits, and where that is exact."""

from __future__ import annotations

import re

import pytest
import torch

from helpers.games import random_table, smooth_game, table_game, table_of
from helpers.networks import Smooth
from shapleycam import Explainer, values
from shapleycam.errors import OptionError
from shapleycam.values._kernel import _coalitions


def relative_error_of_kernel(game, **options):
    truth = values.exact(game).values
    return float((values.kernel(game, **options).values - truth).norm() / truth.norm())


@pytest.mark.parametrize("n", [2, 3, 8])
def test_coalitions_come_with_their_complements(n):
    drawn = _coalitions(500, n, seed=1)
    assert drawn.shape == (1000, n)
    assert bool((drawn[:500] != drawn[500:]).all())
    assert drawn.sum(1).unique().tolist() == list(range(1, n))


def test_sizes_are_drawn_as_often_as_they_weigh():
    """By 1 / (|S| (n - |S|)) for n = 5: 1/4, 1/6, 1/6, 1/4, or 0.3, 0.2, 0.2, 0.3; and each player as any other."""
    drawn = _coalitions(20000, 5, seed=2)[:20000]
    shares = drawn.sum(1).bincount(minlength=6)[1:5] / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.3, 0.2, 0.2, 0.3]), atol=0.015, rtol=0)
    torch.testing.assert_close(drawn.float().mean(0), torch.full((5,), 0.5), atol=0.015, rtol=0)


@pytest.mark.parametrize("evaluations", [40, 41, 100])
def test_evaluations_are_made_even(evaluations):
    game = smooth_game(copies=2)
    counted = []
    value = game.value
    game.value = lambda coalitions: counted.append(coalitions.shape[1]) or value(coalitions)
    fitted = values.kernel(game, evaluations=evaluations)
    assert counted == [evaluations + evaluations % 2]
    assert fitted.evaluations.tolist() == counted * 2
    assert fitted.stderr is None
    assert fitted.samples is None


def test_the_fit_is_the_constrained_least_squares():
    """Solved a second way: the multiplier of Σ φ = v(N) beside the normal equations."""
    game, evaluated = table_game(random_table(6, seed=2)), []
    value = game.value
    game.value = lambda coalitions: evaluated.append((coalitions[0].double(), value(coalitions))) or evaluated[-1][1]
    fitted = values.kernel(game, evaluations=60).values[0]
    ((inside, worth),) = evaluated
    ones = torch.ones(6, 1, dtype=torch.float64)
    system = torch.cat([torch.cat([2 * inside.T @ inside, ones], 1), torch.cat([ones.T, torch.zeros(1, 1)], 1)])
    expected = torch.linalg.solve(system, torch.cat([2 * inside.T @ worth[0], game.grand]))[:6]
    torch.testing.assert_close(fitted, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    "make",
    [smooth_game, lambda: table_game(random_table(8, seed=3)), lambda: table_game(table_of(8, lambda s: len(s) >= 5))],
    ids=["smooth", "without structure", "majority"],
)
def test_more_evaluations_come_to_the_exact_values(make):
    game = make()
    few, many = relative_error_of_kernel(game, evaluations=200), relative_error_of_kernel(game, evaluations=100_000)
    assert many < 0.1
    assert many < few / 4


@pytest.mark.parametrize("players", [(3, 4), None], ids=["12", "16"])
def test_larger_games(players):
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 4
    game = Explainer(Smooth(), layer="features").game(image, target=0, utility="rest", players=players)
    assert relative_error_of_kernel(game, evaluations=20_000) < 0.01


def test_one_player_has_it_all_without_an_evaluation():
    table = random_table(3)
    fitted = values.kernel(table_game(table, players=(1, 1)))
    torch.testing.assert_close(fitted.values, (table[-1] - table[0]).reshape(1, 1))
    assert fitted.evaluations.tolist() == [0]


def test_two_players_need_two_evaluations():
    game = table_game(random_table(2))
    torch.testing.assert_close(values.kernel(game, evaluations=2).values, values.exact(game).values)


@pytest.mark.parametrize("evaluations", [-2, 0, 1, 6])
def test_too_few_evaluations_are_refused(evaluations):
    message = f"evaluations is {evaluations}; expected more, about 64, to tell 8 players apart"
    with pytest.raises(OptionError, match=message):
        values.kernel(smooth_game(), evaluations=evaluations)


@pytest.mark.parametrize("n", [4, 9, 12])
def test_the_number_of_evaluations_that_is_advised_suffices(n):
    game = table_game(random_table(n))
    with pytest.raises(OptionError) as refused:
        values.kernel(game, evaluations=2)
    advised = int(re.search(r"about (\d+)", str(refused.value)).group(1))
    for seed in range(20):
        assert values.kernel(game, evaluations=advised, seed=seed).values.shape == (1, n)


def test_seeds():
    game = smooth_game(copies=2)
    first, same_seed, other_seed = (values.kernel(game, evaluations=100, seed=seed).values for seed in (3, 3, 4))
    assert torch.equal(first, same_seed)
    assert float((first - other_seed).abs().amax(1).min()) > 1e-9
    assert float((first[0] - first[1]).abs().max()) > 1e-9


def test_batch_mates_change_nothing():
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    explainer = Explainer(Smooth(), layer="features", utility="rest")
    together = values.kernel(explainer.game(images, target=0, players=(2, 3)), evaluations=60).values
    for index in range(3):
        alone = explainer.game(images[index : index + 1], target=0, players=(2, 3))
        torch.testing.assert_close(together[index], values.kernel(alone, evaluations=60).values[0], atol=1e-10, rtol=0)
