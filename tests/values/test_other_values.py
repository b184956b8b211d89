"""Leave-one-out, single inclusion and Banzhaf values: by pencil, by their definitions, and against shapiq."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from helpers.games import mobius, number_of, random_table, smooth_game, table_game, table_of
from helpers.lazy_modules import LazyModule
from helpers.networks import Toy
from shapleycam import Explainer, values
from shapleycam.errors import OptionError, ToleranceWarning
from shapleycam.values._banzhaf import FEWEST, block_size, draw_block

exact_game_theory = LazyModule("shapiq.game_theory.exact")


def gloves(coalition):
    """Player 0 has a left glove, 1 and 2 a right one each; a pair is worth 1."""
    return min(0 in coalition, len(coalition - {0}))


BY_PENCIL = {
    # Without 0 there is no pair; of 1 and 2 either does. Alone nobody has a pair. Of the four coalitions of the others
    # 0 completes three pairs; 1 completes one, {0}.
    "gloves": (3, gloves, [1, 0, 0], [0, 0, 0], [3 / 4, 1 / 4, 1 / 4]),
    "additive": (4, lambda s: sum([3, -1, 0, 7][j] for j in s), [3, -1, 0, 7], [3, -1, 0, 7], [3, -1, 0, 7]),
    # Each is pivotal where exactly two of the other four are in: 6 of 16.
    "majority": (5, lambda s: len(s) >= 3, [0] * 5, [0] * 5, [3 / 8] * 5),
    "not zero for nobody": (2, lambda s: 5 + len(s) ** 2, [3, 3], [1, 1], [2, 2]),
}


@pytest.mark.parametrize("case", BY_PENCIL)
def test_by_pencil(case):
    n, worth, left_out, alone, banzhaf = BY_PENCIL[case]
    game = table_game(table_of(n, worth))
    functions = (values.leave_one_out, values.single_inclusion, values.banzhaf)
    for function, expected in zip(functions, (left_out, alone, banzhaf), strict=True):
        actual = function(game)
        torch.testing.assert_close(actual.values, torch.tensor([expected]).double(), atol=1e-12, rtol=0)
        assert actual.stderr is None
        assert not isinstance(actual, values.ShapleyValues)
    assert values.leave_one_out(game).evaluations.tolist() == [n]
    assert values.banzhaf(game).evaluations.tolist() == [2**n]


def banzhaf_of(table):
    """β_j = Σ_{S ∋ j} m(S) / 2^(|S| - 1), m the Möbius transform: each surplus needs the |S| - 1 others."""
    n = (len(table) - 1).bit_length()
    surplus = mobius(table)
    return torch.stack(
        [
            sum(surplus[number] / 2 ** (number.bit_count() - 1) for number in range(2**n) if number >> player & 1)
            for player in range(n)
        ]
    )


@pytest.mark.parametrize("n", [2, 5, 8])
def test_banzhaf_values_of_each_coalitions_surplus(n):
    table = random_table(n, seed=n)
    torch.testing.assert_close(values.banzhaf(table_game(table)).values[0], banzhaf_of(table), atol=1e-12, rtol=0)


@pytest.mark.slow
def test_shapiq_finds_the_same_banzhaf_values():
    table, n = random_table(6, seed=3), 6
    computer = exact_game_theory.ExactComputer(lambda s: table[(s @ (1 << torch.arange(n).numpy()))].numpy(), n)
    expected = computer("BV")
    theirs = torch.tensor([expected[(player,)] for player in range(n)]).double()
    torch.testing.assert_close(values.banzhaf(table_game(table)).values[0], theirs, atol=1e-6, rtol=0)  # in float32


@pytest.mark.parametrize("function", [values.leave_one_out, values.single_inclusion])
def test_single_changes_are_the_coalitions_they_are(function):
    table = random_table(6, seed=4)
    everyone = range(6)
    alone = function is values.single_inclusion
    expected = [
        table[number_of([j])] - table[0] if alone else table[-1] - table[number_of(set(everyone) - {j})]
        for j in everyone
    ]
    actual = function(table_game(table)).values[0]
    torch.testing.assert_close(actual, torch.stack(expected), atol=1e-12, rtol=0)


# Sampled


@pytest.mark.parametrize("n", [1, 3, 13, 31, 32, 49])
def test_in_a_block_each_two_players_are_together_as_often_as_apart(n):
    inside = draw_block(n, torch.Generator().manual_seed(n))
    assert inside.shape == (block_size(n), n)
    half = len(inside) // 2
    assert torch.equal(inside[half:], ~inside[:half])
    signs = torch.where(inside, 1.0, -1.0)
    torch.testing.assert_close(signs.T @ signs, len(inside) * torch.eye(n))
    assert bool((signs.sum(0) == 0).all())


def test_each_row_of_a_block_is_any_coalition_alike():
    """Four players in 4,000 blocks: the third row is each of 16 coalitions a sixteenth of the time."""
    generator = torch.Generator().manual_seed(0)
    third = torch.stack([draw_block(4, generator)[2] for _ in range(4000)])
    counts = (third.long() @ (1 << torch.arange(4))).bincount(minlength=16)
    assert bool(((counts - 250).abs() < 5 * 250**0.5).all())


def product_game(n: int, sizes: tuple[int, ...], copies: int = 1):
    """A game of n players of which some groups earn only together, and its Banzhaf values by pencil."""
    generator = torch.Generator().manual_seed(n)
    groups = [torch.randperm(n, generator=generator)[:size] for size in sizes for _ in range(n)]
    worth = torch.randn(len(groups), generator=generator, dtype=torch.float64)
    expected = torch.zeros(n, dtype=torch.float64)
    for group, w in zip(groups, worth, strict=True):
        expected[group] += w / 2 ** (len(group) - 1)

    def head(a):
        shown = a[:, 0, 0]
        return sum(w * shown[:, group].prod(1) for group, w in zip(groups, worth, strict=True))[:, None]

    image = torch.randn(copies, 2, 1, n, dtype=torch.float64, generator=generator)
    image[:, 0] = 1
    game = Explainer(Toy(head), layer="features", memory=2**30).game(image, target=0, utility="value")
    return game, expected


def test_one_round_is_exact_for_games_of_pairs():
    game, expected = product_game(20, (1, 2))
    actual = values.banzhaf(game)
    torch.testing.assert_close(actual.values[0], expected, atol=1e-9, rtol=0)
    assert float(actual.stderr.max()) < 1e-9
    assert actual.evaluations.tolist() == [FEWEST * block_size(20)]


def test_sampled_values_are_unbiased_and_their_intervals_hold():
    """200 copies of a game of triples and fives: 20 values each, and how many intervals hold the true one."""
    game, expected = product_game(20, (1, 2, 3, 5), copies=200)
    actual = values.banzhaf(game, tolerance=10.0)
    assert actual.samples.tolist() == [FEWEST] * 200
    error = actual.values - expected
    assert bool((error.mean(0).abs() < 5 * error.std(0) / 200**0.5).all())
    low, high = actual.interval()
    assert 0.92 < float(((low <= expected) & (expected <= high)).double().mean()) < 0.98


def test_it_samples_to_the_tolerance_and_says_so_where_it_does_not():
    game, expected = product_game(20, (1, 3, 5), copies=2)
    reported = []
    actual = values.banzhaf(game, tolerance=0.02, progress=lambda count, reached: reported.append((count, reached)))
    assert float(actual.uncertainty.max()) <= 0.02
    assert float((actual.values - expected).norm(dim=1).max()) < 0.06 * float(expected.norm())
    counts = [count for count, _ in reported]
    assert counts == sorted(counts)
    assert counts[-1] == int(actual.evaluations.max())
    with pytest.warns(ToleranceWarning, match=r"standard error of Banzhaf values is up to .*where 0\.01% was asked"):
        values.banzhaf(game, tolerance=0.0001, most_evaluations=600)


def test_an_image_does_not_depend_on_its_batch_mates():
    game, _ = product_game(20, (1, 3, 5), copies=3)
    mates = game.images.clone()
    mates[0, 1] += 1  # another content, and so other coalitions
    explainer = Explainer(game.trace.owner, layer="features")
    together = values.banzhaf(explainer.game(mates, target=0, utility="value"), tolerance=0.5)
    alone = values.banzhaf(explainer.game(mates[1:2], target=0, utility="value"), tolerance=0.5)
    torch.testing.assert_close(together.values[1], alone.values[0], atol=1e-9, rtol=0)
    assert not torch.allclose(together.values[0], together.values[1], atol=1e-9)


def test_a_convolutional_head():
    """Eight players by their definition, and the same through regions of a real head."""
    game = smooth_game()
    n = game.n_players
    everyone = range(n)
    coalitions = [set(s) for size in range(n + 1) for s in combinations(everyone, size)]
    inside = torch.tensor([[j in s for j in everyone] for s in coalitions])
    worth = dict(zip(map(frozenset, coalitions), game.value(inside)[0].double(), strict=True))
    expected = [
        sum(worth[frozenset(s | {j})] - worth[frozenset(s)] for s in coalitions if j not in s) / 2 ** (n - 1)
        for j in everyone
    ]
    torch.testing.assert_close(values.banzhaf(game).values[0], torch.stack(expected), atol=1e-9, rtol=0)


@pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"most_evaluations": 0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(OptionError, match="expected"):
        values.banzhaf(table_game(random_table(3)), **options)


def test_the_rows_of_the_table_are_these_values():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(64, 3))
    explainer, images = Explainer(model, layer="0"), torch.rand(2, 3, 6, 6)
    game = explainer.game(images)
    rows = {"leaveoneout": values.leave_one_out, "reciprocam": values.single_inclusion, "banzhaf": values.banzhaf}
    for name, function in rows.items():
        e, expected = explainer.explain(images, name), function(game)
        torch.testing.assert_close(e.values.flatten(1).double(), expected.values, rtol=1e-5, atol=1e-6)
        assert (e.stderr is None) == (expected.stderr is None)


def test_reciprocam_is_the_papers_up_to_its_scaling():
    """Their map: the class's probability of the head on a map of zeros but for one position, by min-max."""
    torch.manual_seed(0)
    features = torch.nn.Conv2d(3, 4, 3)
    head = torch.nn.Sequential(torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(64, 3))
    images = torch.rand(1, 3, 6, 6)
    activation = features(images)
    mosaic = torch.zeros(16, 4, 16)
    mosaic[range(16), :, range(16)] = activation[0].flatten(1).T
    theirs = head(mosaic.unflatten(2, (4, 4))).softmax(1)[:, 1].unflatten(0, (4, 4)).detach()
    explainer = Explainer(torch.nn.Sequential(features, head), layer="0", utility="probability")
    ours = explainer.explain(images, "reciprocam", target=1).values[0]
    scaled = [(x - x.min()) / (x.max() - x.min()) for x in (ours, theirs)]
    torch.testing.assert_close(scaled[0], scaled[1], atol=1e-4, rtol=0)
