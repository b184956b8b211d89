"""Owen values: against all orders that keep groups together, the games of the groups themselves, and pencil."""

from __future__ import annotations

from itertools import chain, islice, permutations, product

import pytest
import torch

from helpers.games import mobius, number_of, random_table, shapley_of, smooth_game, table_game, table_of
from shapleycam import Explainer, values
from shapleycam.errors import OptionError, ToleranceWarning
from shapleycam.game.players import make_players
from shapleycam.models.layout import Layout
from shapleycam.values import _refining
from shapleycam.values._limited_runs import fewest_runs
from shapleycam.values._refining import Refining
from shapleycam.values.group_tree import group_tree, halved_levels

TWO_LEVELS = [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 2, 2, 3, 3]]


def orders_of(players, levels):
    """All orders in which the players of each group follow each other, at the coarsest level and at finer ones."""
    if not levels:
        yield from permutations(players)
        return
    groups = [[p for p in players if levels[0][p] == name] for name in sorted({levels[0][p] for p in players})]
    inner = [list(orders_of(group, levels[1:])) for group in groups]
    for sequence in permutations(inner):
        yield from (tuple(chain(*parts)) for parts in product(*sequence))


def owen_of(table, levels):
    """The mean contribution over all these orders, as Owen and Winter define the values."""
    n = (len(table) - 1).bit_length()
    total, count = torch.zeros(n, dtype=torch.float64), 0
    for order in orders_of(range(n), levels):
        for place, player in enumerate(order):
            total[player] += table[number_of(order[: place + 1])] - table[number_of(order[:place])]
        count += 1
    return total / count


LEVELS = [TWO_LEVELS, [[0, 0, 1, 1, 1, 2, 2]], [[7, 7, 7, 7, 7, 7, -1]], [[0] * 7, [0, 0, 1, 1, 1, 1, 1]]]
NAMES = ["two levels", "one level", "one alone", "a level of one group"]


@pytest.fixture
def only_sampled(monkeypatch):
    """Small games, whose values would be exact, sampled as large ones are."""
    monkeypatch.setattr(_refining, "MOST_COUNTED_IN_ALL", 0)


@pytest.mark.parametrize("levels", LEVELS, ids=NAMES)
def test_all_orders_that_keep_groups_together_have_these_means(levels):
    table = random_table(7, seed=1)
    expected = owen_of(table, levels)
    shares = values.owen(table_game(table), levels)
    torch.testing.assert_close(shares.values[0], expected, atol=1e-12, rtol=0)
    assert shares.stderr.tolist() == [[0] * 7]
    assert int(shares.evaluations) <= 2**7 - 2
    assert float((expected - shapley_of(table)).norm() / expected.norm()) > 0.1  # Shapley's are others


@pytest.mark.usefixtures("only_sampled")
@pytest.mark.parametrize("levels", LEVELS, ids=NAMES)
def test_sampled_values_are_these_within_their_standard_errors(levels):
    table = random_table(7, seed=1)
    expected = owen_of(table, levels)
    shares = values.owen(table_game(table, copies=4), levels, tolerance=0.2)
    assert 0 < float(shares.uncertainty.max()) <= 0.2
    stderr = shares.stderr.square().sum(0).sqrt() / 4
    scores = (shares.values.mean(0) - expected) / (stderr + 1e-9)  # one alone has an exact value
    assert float(scores.abs().max()) < 4
    torch.testing.assert_close(shares.values.sum(1), (table[-1] - table[0]).expand(4), atol=1e-9, rtol=0)


@pytest.mark.usefixtures("only_sampled")
def test_sampled_values_without_levels_are_shapley_values():
    table = random_table(7, seed=2)
    shares = values.owen(table_game(table), [], tolerance=0.15)
    scores = (shares.values[0] - shapley_of(table)) / shares.stderr[0]
    assert float(scores.abs().max()) < 4


def test_without_levels_they_are_shapley_values():
    table = random_table(5, seed=2)
    shares = values.owen(table_game(table), [])
    torch.testing.assert_close(shares.values[0], shapley_of(table), atol=1e-12, rtol=0)
    assert shares.stderr.tolist() == [[0] * 5]
    assert shares.evaluations.tolist() == [2**5 - 2]


def test_a_pair_and_one_alone_by_pencil():
    """v = 1 for {0, 1} and for {0, 2}: the pair of 0 and 1 has it without 2, so that 2 earns nothing.

    Behind 2 player 0 has it alone; before 2 whoever of the pair is second has it.
    """
    table = table_of(3, lambda s: 0 in s and len(s) >= 2)
    shares = values.owen(table_game(table), [[0, 0, 1]], tolerance=0.02)
    assert shares.levels[0].values.tolist() == [[1, 0]]
    assert shares.values.tolist() == [[3 / 4, 1 / 4, 0]]


@pytest.mark.usefixtures("only_sampled")
def test_where_there_is_nothing_to_divide_groups_are_opened_too():
    """v(N) = 0, as player 0 adds 1 and player 1 takes it: their group earns nothing, and they do."""
    game = table_game(table_of(16, lambda s: (0 in s) - (1 in s)))
    quarters = [player // 4 for player in range(16)]
    for shares in (values.owen(game, [quarters]), values.owen(game, [quarters], runs=4000)):
        assert shares.values[0].tolist() == pytest.approx([1, -1] + [0] * 14, abs=1e-9)
        assert float(shares.stderr.max()) < 1e-9


def test_values_of_groups_come_in_the_order_of_the_groups_numbers():
    """Player i adds 2^i; the finer groups' numbers do not rise with those of the groups around them."""
    game = table_game(table_of(6, lambda s: sum(2**player for player in s)))
    shares = values.owen(game, [[5, 5, 5, 9, 9, 9], [1, 1, 2, 7, 7, 0]])
    assert shares.levels[0].values[0].tolist() == pytest.approx([7, 56])
    assert shares.levels[1].values[0].tolist() == pytest.approx([32, 3, 4, 24])
    nested = values.owen(game, [[3, 3, 3, 0, 0, 0], [4, 4, 4, 8, 2, 2]])  # group 4 is the whole of group 3
    assert nested.levels[1].values[0].tolist() == pytest.approx([48, 7, 8])


def test_the_groups_values_are_the_shapley_values_of_their_own_game():
    table = random_table(7, seed=3)
    coarse, fine = TWO_LEVELS
    groups = [[player for player in range(7) if coarse[player] == name] for name in (0, 1)]
    own = table_of(2, lambda s: table[number_of(chain(*(groups[group] for group in s)))])
    shares = values.owen(table_game(table), TWO_LEVELS, tolerance=0.2)
    torch.testing.assert_close(shares.levels[0].values[0], shapley_of(own), atol=1e-12, rtol=0)
    assert shares.levels[0].stderr.tolist() == [[0, 0]]
    of_fine = torch.zeros(1, 4, dtype=torch.float64).index_add(1, torch.tensor(fine), shares.values)
    torch.testing.assert_close(shares.levels[1].values, of_fine, atol=1e-12, rtol=0)


@pytest.mark.usefixtures("only_sampled")
def test_games_of_pairs_come_out_exactly_from_one_sample():
    surplus = torch.tensor([float(torch.randn(())) if number.bit_count() <= 2 else 0 for number in range(2**7)])
    table = mobius_inverse(surplus.double())
    game = table_game(table)
    *_, shares = islice(values.owen_refined(game, TWO_LEVELS), 5)
    torch.testing.assert_close(shares.values[0], shapley_of(table), atol=1e-10, rtol=0)
    assert float(shares.stderr.max()) < 1e-10


def mobius_inverse(surplus):
    """v(S) = Σ_{T ⊆ S} m(T)."""
    table = torch.stack(
        [sum(surplus[part] for part in range(len(surplus)) if part & number == part) for number in range(len(surplus))]
    )
    torch.testing.assert_close(mobius(table), surplus)
    return table


@pytest.mark.usefixtures("only_sampled")
@pytest.mark.slow
def test_standard_errors_are_how_far_the_values_scatter():
    copies = 40
    with pytest.warns(ToleranceWarning):
        shares = values.owen(smooth_game(copies), [[0, 0, 1, 1, 0, 0, 1, 1]], tolerance=1e-9, runs=100)
    scatter = shares.values.var(0).sum()
    said = shares.stderr.square().sum(1).mean()
    assert 0.6 < float(said / scatter) < 1.6


# As it is refined


@pytest.mark.usefixtures("only_sampled")
def test_the_first_picture_is_of_the_coarsest_groups_and_all_sum_to_the_whole():
    game = table_game(random_table(8, seed=4))
    levels = [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3]]
    pictures = list(islice(values.owen_refined(game, levels), 7))
    first = pictures[0].values[0]
    assert first.tolist() == [first[0]] * 4 + [first[4]] * 4  # even shares
    assert pictures[0].stderr.isinf().all()
    assert pictures[0].levels[0].stderr.tolist() == [[0, 0]]
    assert pictures[-1].stderr.isfinite().all()
    for picture in pictures:
        torch.testing.assert_close(picture.values.sum(1), game.grand.double(), atol=1e-9, rtol=0)
    spent = [int(picture.evaluations) for picture in pictures]
    assert spent[0] == 2
    assert spent == sorted(spent)


@pytest.mark.usefixtures("only_sampled")
@pytest.mark.parametrize("runs", [1, 2, 14, 30, 60, 100, 200])
def test_no_more_runs_than_allowed(runs):
    game = table_game(random_table(9, seed=5))
    with pytest.warns(ToleranceWarning):
        shares = values.owen(game, runs=runs, tolerance=1e-9)
    assert int(shares.evaluations) <= runs
    torch.testing.assert_close(shares.values.sum(1), game.grand.double(), atol=1e-9, rtol=0)
    assert bool(shares.stderr.isinf().any()) == (runs < 60)


@pytest.mark.usefixtures("only_sampled")
@pytest.mark.parametrize("runs", [77, 78])
def test_groups_stay_whole_where_the_runs_do_not_last_for_two_samples_of_them(runs):
    """All coalitions of three groups are 6 runs, four orders of four players in each 4 * 3 * 3: 78 for two samples."""
    groups = torch.arange(12) // 4
    game = table_game(random_table(12, seed=5))
    with pytest.warns(ToleranceWarning):
        shares = values.owen(game, [groups], runs=runs, tolerance=1e-9)
    of_groups = shares.values[0].unflatten(0, (3, 4))
    is_even = torch.allclose(of_groups, of_groups.mean(1, keepdim=True).expand(3, 4), atol=1e-12)
    assert (is_even, bool(shares.stderr.isinf().all())) == ((True, True) if runs == 77 else (False, False))
    assert bool(shares.levels[0].stderr.isfinite().all())
    assert len(set(shares.levels[0].values[0].tolist())) == 3
    torch.testing.assert_close(shares.values.sum(1), game.grand.double(), atol=1e-9, rtol=0)


def test_players_whose_groups_were_not_divided_are_noted():
    with pytest.warns(ToleranceWarning, match="not all groups were divided in two samples"):
        shares = values.owen(table_game(random_table(9, seed=5)), runs=20)
    assert "not all groups were divided" in shares.notes[0][0]


@pytest.mark.usefixtures("only_sampled")
def test_groups_that_matter_are_opened_more_often():
    """Only the last four players are worth more or less than the sum of their own: the others need no further look."""
    table = random_table(4, seed=6)
    game = table_game(table_of(8, lambda s: len(s) + 5 * table[number_of(p - 4 for p in s if p >= 4)]))
    tree = group_tree([torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])], 8)
    image = Refining(game, 0, tree, torch.Generator().manual_seed(0), 2**18)
    for _ in range(40):
        assert image.refine()
    quiet, loud = (int(image.sums.opened[node]) for node in tree.children[0])
    assert loud == 40
    assert 10 <= quiet <= 12  # a quarter, and the first three


@pytest.mark.usefixtures("only_sampled")
def test_progress_is_told_of_orders_and_what_it_raises_ends_the_work():
    told = []
    values.owen(smooth_game(), [[0, 0, 1, 1, 0, 0, 1, 1]], tolerance=0.2, progress=lambda *state: told.append(state))
    assert [orders for orders, _ in told][:3] == [4, 8, 12]
    assert told[0][1] != told[0][1]  # NaN: nothing is known from one sample
    assert told[-1][1] <= 0.2

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        values.owen(smooth_game(), progress=stop)


@pytest.mark.usefixtures("only_sampled")
def test_an_images_values_do_not_depend_on_its_batch_mates():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    explainer = uneven_network()
    both = values.owen(explainer.game(images, target=0, players=(4, 4)), tolerance=0.05)
    for index in range(2):
        alone = values.owen(explainer.game(images[index : index + 1], target=0, players=(4, 4)), tolerance=0.05)
        torch.testing.assert_close(both.values[index], alone.values[0], atol=1e-4, rtol=1e-4)
        assert int(both.evaluations[index]) == int(alone.evaluations)


def test_a_single_player_has_all():
    game = input_game((4, 4), (1, 1))
    shares = values.owen(game)
    torch.testing.assert_close(shares.values[0], game.grand.double())
    assert shares.stderr.tolist() == [[0]]


# Groups


def input_game(size, players):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * size[0] * size[1], 2))
    return Explainer(model, layer="input", device="cpu").game(torch.rand(1, 3, *size), players=players)


def test_a_grid_is_grouped_by_halves_of_halves():
    levels = halved_levels(input_game((16, 16), (8, 8)).players, 0)
    rows, columns = torch.arange(8)[:, None], torch.arange(8)
    assert len(levels) == 2
    for level, count in zip(levels, (2, 4), strict=True):
        expected = (rows * count // 8) * count + columns * count // 8
        assert len(level.unique()) == count**2
        assert len(torch.stack([level, expected.flatten()], 1).unique(dim=0)) == count**2  # the same groups


def test_seven_by_seven_regions_are_not_cut_through_a_row():
    level, _ = halved_levels(input_game((14, 14), (7, 7)).players, 0)
    assert sorted(level.bincount().tolist()) == [9, 12, 12, 16]


def test_regions_of_any_form_are_grouped_by_their_middles():
    labels = torch.zeros(6, 8, dtype=torch.long)
    labels[:3, :2], labels[:2, 5:], labels[4:, :3], labels[4:, 6:], labels[5, 4] = 1, 2, 3, 4, 5
    (level,) = halved_levels(input_game((6, 8), labels).players, 0)
    assert len(level.unique()) == 4
    assert level[1] != level[3]


def test_prefix_tokens_are_a_group_by_themselves():
    layout = Layout("tokens", (4, 4), prefix=3)
    (level,) = halved_levels(make_players(None, layout, 1, torch.device("cpu")), 0)
    assert level.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3, 4]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 0, 1]], r"level 0 of the groups has labels of shape \(3,\); expected \(4,\) or \(1, 4\)"),
        ([torch.tensor([0.0, 0, 1, 1])], "labels of torch.float32; expected whole numbers"),
        ([torch.tensor([True, False, True, True])], "labels of torch.bool"),
        ([[0, 0, 1, 1], [0, 1, 1, 2]], "group 1 of level 1 has players of groups 0 and 1 of level 0"),
    ],
)
def test_groups_that_do_not_fit(groups, message):
    with pytest.raises(OptionError, match=message):
        values.owen(table_game(random_table(4)), groups)


@pytest.mark.parametrize("options", [{"runs": 0}, {"tolerance": 0.0}])
def test_options_that_nothing_can_be_sampled_with(options):
    with pytest.raises(OptionError, match="expected"):
        values.owen(table_game(random_table(4)), **options)


# The method


def uneven_network():
    """A network whose coalitions have no shortcut."""
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
    return Explainer(torch.nn.Sequential(*layers), layer="input", device="cpu")


def test_the_method_gives_these_values():
    explainer, image = uneven_network(), torch.rand(1, 3, 8, 8)
    with pytest.warns(ToleranceWarning, match="after [0-9]+ runs the standard error is"):
        explanation = explainer.explain(image, "Owen values", target=0, players=(5, 5), runs=400, tolerance=1e-6)
    game = explainer.game(image, target=0, players=(5, 5))
    with pytest.warns(ToleranceWarning):
        shares = values.owen(game, runs=400, tolerance=1e-6)
    torch.testing.assert_close(explanation.values, game.players.cells(shares.values).float())
    assert explanation.notes == shares.notes
    assert explanation.method == "owen"


def test_too_few_runs_for_a_standard_error_are_refused():
    with pytest.raises(OptionError, match="method 'owen' takes 288 coalitions at least with 25 players"):
        uneven_network().explain(torch.rand(1, 3, 8, 8), "owen", players=(5, 5), runs=100)


@pytest.mark.parametrize("side", [2, 3, 5, 6, 7])
def test_the_fewest_runs_do_for_standard_errors(side):
    game = uneven_network().game(torch.rand(1, 3, 8, 8), target=0, players=(side, side))
    shares = values.owen(game, runs=fewest_runs(side**2), tolerance=1e3)
    assert shares.stderr.isfinite().all()
