"""What makes a division fair, on random games and on the default model: efficiency, symmetry, dummy, linearity."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.games import AMPLE, random_table, table_game
from shapleycam import Explainer, values
from shapleycam.images import open_photograph

LAYERS = ("bn2", "blocks.5")
quick = settings(max_examples=10, deadline=None, derandomize=True)


def tables(most: int = 5, count: int = 1):
    """Draw games of 2 to `most` players, as `count` tables of whole numbers."""

    def of(n):
        numbers = st.lists(st.integers(-9, 9), min_size=2**n, max_size=2**n)
        return st.tuples(*[numbers.map(lambda row: torch.tensor(row, dtype=torch.float64))] * count)

    return st.integers(2, most).flatmap(of)


def grand(table):
    return table[-1] - table[0]


def exact_values(game):
    return values.exact(game).values[0]


def exchange_players(table, first_player, second_player):
    """Return the table of the game in which two players are exchanged."""
    numbers = torch.arange(len(table))
    differ = (numbers >> first_player & 1) != (numbers >> second_player & 1)
    return table[torch.where(differ, numbers ^ (1 << first_player | 1 << second_player), numbers)]


@quick
@given(tables())
def test_exact_values_are_efficient(drawn):
    (table,) = drawn
    assert float(exact_values(table_game(table)).sum()) == pytest.approx(float(grand(table)), abs=1e-9)


@quick
@given(tables(), st.integers(1, 40), st.integers(0, 10**6))
@pytest.mark.filterwarnings("ignore:.*mattered in a few of the orders alone")  # as some of these tables say
def test_sampled_values_are_efficient_for_any_number_of_orders(drawn, orders, seed):
    (table,) = drawn
    shapley_values = values.permutation(table_game(table), orders=orders, seed=seed).values
    assert float(shapley_values.sum()) == pytest.approx(float(grand(table)), abs=1e-9)


@quick
@given(tables(), st.integers(200, 400), st.integers(0, 10**6))
def test_fitted_values_are_efficient_for_any_number_of_evaluations(drawn, evaluations, seed):
    (table,) = drawn
    shapley_values = values.kernel(table_game(table), evaluations=evaluations, seed=seed).values
    assert float(shapley_values.sum()) == pytest.approx(float(grand(table)), abs=1e-9)


@quick
@given(tables())
def test_players_who_do_the_same_earn_the_same(drawn):
    (table,) = drawn
    shapley_values = exact_values(table_game(table + exchange_players(table, 0, 1)))
    assert float(shapley_values[0]) == pytest.approx(float(shapley_values[1]), abs=1e-9)


@quick
@given(tables())
def test_exchanged_players_exchange_their_values(drawn):
    (table,) = drawn
    shapley_values, exchanged = exact_values(table_game(table)), exact_values(table_game(exchange_players(table, 0, 1)))
    torch.testing.assert_close(exchanged, shapley_values[[1, 0, *range(2, len(shapley_values))]], atol=1e-9, rtol=0)


@quick
@given(tables(), st.integers(-9, 9))
def test_a_player_who_adds_the_same_to_all_earns_that(drawn, worth):
    """With 0 it is the dummy axiom."""
    (table,) = drawn
    takes_part = torch.arange(len(table)) % 2 == 1
    dummy = torch.where(takes_part, table[torch.arange(len(table)) - takes_part.long()] + worth, table)
    game = table_game(dummy)
    for estimate in (values.exact(game), values.permutation(game, orders=4)):
        assert float(estimate.values[0, 0]) == pytest.approx(worth, abs=1e-9)


@quick
@given(tables(count=2), st.integers(-3, 3), st.integers(-3, 3))
def test_values_of_a_sum_are_sums_of_values(drawn, first, second):
    def mixed(output, target):
        return first * output[:, 0] + second * output[:, 1]

    first_game, second_game = (table_game(*drawn, utility=lambda output, _, k=k: output[:, k]) for k in (0, 1))
    mixed_game = table_game(*drawn, utility=mixed)
    for estimate in (values.exact, lambda game: values.permutation(game, orders=9)):
        expected = first * estimate(first_game).values + second * estimate(second_game).values
        torch.testing.assert_close(estimate(mixed_game).values, expected, atol=1e-9, rtol=0)


@pytest.fixture(scope="module")
def at(explainer):
    return {layer: Explainer(explainer.model, layer=layer, memory=AMPLE) for layer in LAYERS}


@pytest.fixture(scope="module")
def portraits(explainer, hopper):
    """A photograph and its mirror image, preprocessed."""
    photo = explainer.preprocess(open_photograph(hopper))
    return torch.stack([photo, photo.flip(2)])


def make_game(at, portraits, layer, utility="rest", players=(2, 3)):
    return at[layer].game(portraits, target=652, utility=utility, players=players)


def rounding(game):
    """Return the tolerance of each value of a float32 head."""
    return {"atol": 1e-5 * float(game.full.abs().max()), "rtol": 0}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("utility", ["rest", "probability"])
def test_every_estimator_that_says_so_is_efficient_on_a_real_head(at, portraits, layer, utility):
    """Sampled and fitted values sum to v(N) however the head rounds; exact ones evaluate all players once more."""
    game = make_game(at, portraits, layer, utility)
    grand = game.grand.double()
    assert (grand.abs() > 1e-3).all()
    torch.testing.assert_close(values.exact(game).values.sum(1), grand, **rounding(game))
    sampled = [values.permutation(game, orders=orders) for orders in (1, 6)]
    for estimate in [*sampled, values.kernel(game, evaluations=40)]:
        torch.testing.assert_close(estimate.values.sum(1), grand, atol=1e-9, rtol=0)


@pytest.mark.parametrize("layer", LAYERS)
def test_values_of_rest_are_those_of_its_two_parts(at, portraits, layer):
    """Residual softmax is z_c + log softmax(z)_c: with the same orders, sampling is linear too."""
    rest, *parts = (make_game(at, portraits, layer, name) for name in ("rest", "logit", "log_probability"))
    for estimate in (values.exact, lambda game: values.permutation(game, orders=4)):
        summed = sum(estimate(part).values for part in parts)
        torch.testing.assert_close(estimate(rest).values, summed, **rounding(rest))
        assert summed.abs().max() > 0.1


@pytest.mark.parametrize("layer", LAYERS)
def test_values_go_with_their_players_names_on_a_real_head(at, portraits, layer):
    labels = (torch.arange(7) * 2 // 7)[:, None] * 3 + torch.arange(7) * 3 // 7
    named = make_game(at, portraits, layer)
    renumbered = values.exact(make_game(at, portraits, layer, players=5 - labels)).values
    torch.testing.assert_close(renumbered, values.exact(named).values.flip(1), **rounding(named))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_region_without_cells_earns_nothing_on_a_real_head(at, portraits, layer):
    columns = torch.arange(7).expand(7, 7)
    both = torch.stack([columns // 2, columns // 4])
    game = make_game(at, portraits, layer, players=both)
    expected = values.exact(make_game(at, portraits, layer, players=both[1])).values[1]
    assert game.n_players == 4
    # Two players are a game of pairs, of which any number of orders is exact.
    for estimate in (values.exact(game), values.permutation(game, orders=8)):
        torch.testing.assert_close(estimate.values[1, 2:], torch.zeros(2, dtype=torch.float64), **rounding(game))
        torch.testing.assert_close(estimate.values[1, :2], expected, **rounding(game))
        assert estimate.values[0].abs().min() > 0.01


def test_a_random_game_has_no_axiom_by_chance():
    """The tests above could all fail: a player's share differs from another's, and from what it adds to nobody."""
    table = random_table(4)
    shapley_values = exact_values(table_game(table))
    assert (shapley_values[0] - shapley_values[1]).abs() > 0.01
    assert (shapley_values[0] - (table[1] - table[0])).abs() > 0.01
