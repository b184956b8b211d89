"""The Shapley sum against pencil, the Möbius transform and another implementation."""

from __future__ import annotations

from math import isnan

import pytest
import torch

from helpers.games import random_table, shapley_of, table_game, table_of
from helpers.lazy_modules import LazyModule
from helpers.networks import Smooth, Toy, logits, power
from shapleycam import Explainer, values
from shapleycam.errors import OptionError, ignore_warnings
from shapleycam.values._exact import members

exact_game_theory = LazyModule("shapiq.game_theory.exact")


def gloves(coalition):
    """Player 0 has a left glove, 1 and 2 a right one each; a pair is worth 1."""
    return min(0 in coalition, len(coalition - {0}))


def airport(coalition):
    """The longest runway that is needed, of lengths 1, 2 and 4 (Littlechild & Owen 1973)."""
    return max((2**player for player in coalition), default=0)


def game_of(model, images, **options):
    return Explainer(model, layer="features", utility="logit").game(images, target=0, **options)


@pytest.mark.parametrize(
    ("n", "worth", "expected"),
    [
        (3, gloves, [2 / 3, 1 / 6, 1 / 6]),
        (4, lambda s: {0, 2} <= s, [1 / 2, 0, 1 / 2, 0]),
        (4, lambda s: sum([3, -1, 0, 7][j] for j in s), [3, -1, 0, 7]),
        (5, lambda s: len(s) >= 3, [1 / 5] * 5),
        (3, airport, [1 / 3, 1 / 3 + 1 / 2, 1 / 3 + 1 / 2 + 2]),
        (2, lambda s: 5 + 2 * len(s), [2, 2]),
    ],
    ids=["gloves", "unanimity", "additive", "majority", "airport", "not zero for nobody"],
)
def test_games_by_pencil(n, worth, expected):
    exact = values.exact(table_game(table_of(n, worth)))
    torch.testing.assert_close(exact.values, torch.tensor([expected], dtype=torch.float64), atol=1e-12, rtol=0)
    assert exact.evaluations.tolist() == [2**n]
    assert exact.stderr is None
    assert exact.samples is None
    assert exact.nodes is None


@pytest.mark.parametrize("n", range(2, 9))
def test_shares_of_each_coalitions_surplus_are_the_same_values(n):
    table = random_table(n, seed=n)
    shapley_values = values.exact(table_game(table)).values[0]
    torch.testing.assert_close(shapley_values, shapley_of(table), atol=1e-12, rtol=0)


@pytest.mark.parametrize("players", [(2, 3), (4, 2)])
def test_shapiq_finds_the_same(players):
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    game = game_of(Smooth(), image, players=players)
    oracle = exact_game_theory.ExactComputer(
        lambda rows: game.value(torch.as_tensor(rows).bool())[0].numpy(), game.n_players
    )
    expected = oracle("SV", 1).get_n_order_values(1)
    torch.testing.assert_close(values.exact(game).values[0], torch.as_tensor(expected), atol=1e-12, rtol=1e-9)


def test_more_coalitions_than_are_summed_at_once():
    """Fifteen players, for (Σ w)³ by pencil: what w_j takes part in, by how many share it."""
    w = torch.linspace(-1, 2, 15, dtype=torch.float64)
    exact = values.exact(game_of(power(3), w.reshape(1, 1, 3, 5)))
    rest, squares = w.sum() - w, (w**2).sum() - w**2
    expected = w**3 + 3 * (w**2 * rest + w * squares) / 2 + 6 * w * (rest**2 - squares) / 2 / 3
    torch.testing.assert_close(exact.values[0], expected, atol=1e-10, rtol=0)
    assert exact.evaluations.tolist() == [2**15]


def test_one_player_has_it_all():
    table = random_table(3)
    exact = values.exact(table_game(table, players=(1, 1)))
    torch.testing.assert_close(exact.values, (table[-1] - table[0]).reshape(1, 1))
    assert exact.evaluations.tolist() == [2]


def test_too_many_players_are_refused():
    game = game_of(power(2), torch.ones(1, 1, 3, 7))
    message = (
        r"the game has 21 players, and all coalitions are 2\^21; expected at most 20 players: group the cells into "
        r"regions with players=\(rows, columns\), or sample them \(values.permutation, sampledshapley\)"
    )
    with pytest.raises(OptionError, match=message):
        values.exact(game)


def test_progress_is_told_after_each_batch_and_can_end_the_work():
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    explainer = Explainer(Smooth(), layer="features", utility="logit", memory=50_000)
    game, states = explainer.game(images, target=0, players=(2, 3)), []
    shares = values.exact(game, progress=lambda coalitions, error: states.append((coalitions, error)))
    counts = [coalitions for coalitions, _ in states]
    assert len(counts) > 2
    assert counts == sorted(counts)
    assert counts[-1] == 2**6
    assert all(isnan(error) for _, error in states)
    assert torch.equal(shares.values, values.exact(game).values)

    def end(coalitions, _):
        states.append(coalitions)
        raise KeyError

    states.clear()
    with pytest.raises(KeyError):
        values.exact(game, progress=end)
    assert states == counts[:1]


def test_exactshapley_tells_the_listener_of_the_options():
    states = []
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    explainer = Explainer(Smooth(), layer="features", utility="logit")
    with ignore_warnings():  # of a blank heatmap
        explainer.explain(image, "exactshapley", players=(2, 2), progress=lambda *state: states.append(state[0]))
    assert states[-1] == 2**4


def test_each_image_has_its_own_game():
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    together = values.exact(game_of(Smooth(), images, players=(2, 3)))
    for index in range(3):
        alone = values.exact(game_of(Smooth(), images[index : index + 1], players=(2, 3)))
        torch.testing.assert_close(together.values[index], alone.values[0], atol=1e-12, rtol=0)
    assert together.evaluations.tolist() == [64] * 3


def test_sums_are_taken_in_double_precision():
    """Of a float32 model: v = 10⁷ + 1 for all, where a sum in float32 would not see the 1."""
    model = Toy(lambda a: logits(a.flatten(1).double().sum(1)))
    weight = torch.tensor([[[[1e7, 1.0], [-3.0, 0.5]]]])
    shapley_values = values.exact(game_of(model, weight)).values
    assert shapley_values.dtype == torch.float64
    torch.testing.assert_close(shapley_values, weight.double().flatten(1), atol=1e-6, rtol=0)


def test_a_coalitions_number_names_its_members():
    coalitions = [set(row.nonzero().flatten().tolist()) for row in members(torch.arange(8), 3)]
    assert coalitions == [set(), {0}, {1}, {0, 1}, {2}, {0, 2}, {1, 2}, {0, 1, 2}]
