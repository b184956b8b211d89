"""Sampling over orders: right on average, with an honest standard error, and as many orders as asked for."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from helpers.games import random_table, smooth_game, table_game, table_of
from helpers.networks import Smooth, quadratic
from shapleycam import Explainer, values
from shapleycam.errors import OptionError, ToleranceWarning
from shapleycam.values._contributions import marginal_contributions, shares_of_samples
from shapleycam.values._orders import STREAMS, OrderStreams

GAMES = {
    "smooth": smooth_game,
    "without structure": lambda copies=1: table_game(random_table(8, seed=3), copies=copies),
    "the largest counts": lambda copies=1: table_game(
        table_of(8, lambda s: max(((8 - j) ** 2 for j in s), default=0)), copies=copies
    ),
}


def make_game(images, model=None, **options):
    memory = {"memory": options.pop("memory")} if "memory" in options else {}
    model = model or Smooth()
    return Explainer(model, layer="features", **memory).game(images, target=0, utility="rest", **options)


def deviation_in_standard_errors(runs, truth):
    """Return by how many standard errors, at most, the mean of the runs differs from the truth."""
    return float(((runs.mean(0) - truth) / (runs.std(0) / len(runs) ** 0.5)).abs().max())


def pairs_game(n=6):
    """A game of single players and pairs, for which an order and its reverse are exact."""
    generator = torch.Generator().manual_seed(8)
    weight = torch.randn(n, dtype=torch.float64, generator=generator)
    matrix = torch.randn(n, n, dtype=torch.float64, generator=generator)
    image = torch.ones(1, 1, 1, n, dtype=torch.float64)
    return Explainer(quadratic(weight, matrix + matrix.T), layer="features").game(image, target=0, utility="logit")


@pytest.fixture
def images():
    """A dull image and two vivid ones: the nearer to zero, the straighter the head."""
    noise = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return noise * torch.tensor([0.01, 4, 6])[:, None, None, None]


RARE = pytest.mark.filterwarnings("ignore:.*mattered in a few of the orders alone")


@RARE
@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("orders", [32, 64])
def test_intervals_hold_the_truth_as_often_as_they_say(name, orders):
    truth = values.exact(GAMES[name]()).values
    sampled = values.permutation(GAMES[name](copies=200), orders=orders)
    low, high = sampled.interval(0.95)
    held = ((low <= truth) & (truth <= high)).double()
    assert 0.92 <= float(held.mean()) <= 0.98
    low, high = sampled.interval(0.5)
    assert 0.44 <= float(((low <= truth) & (truth <= high)).double().mean()) <= 0.57


def test_two_hundred_seeds_are_right_on_average_and_as_often_as_they_say():
    game = smooth_game(players=(2, 3))
    truth = values.exact(game).values
    runs = [values.permutation(game, orders=32, seed=seed) for seed in range(200)]
    held = [(low <= truth) & (truth <= high) for low, high in (run.interval() for run in runs)]
    assert 0.92 <= float(torch.cat(held).double().mean()) <= 0.98
    sampled_values = torch.cat([run.values for run in runs])
    assert deviation_in_standard_errors(sampled_values, truth) < 4
    assert float(sampled_values.std(0).min()) > 0


def test_intervals_hold_the_truth_where_sampling_went_to_a_tolerance():
    truth = values.exact(smooth_game()).values
    sampled = values.permutation(smooth_game(copies=200), tolerance=0.003)
    assert len(sampled.evaluations.unique()) > 2
    low, high = sampled.interval()
    assert 0.92 <= float(((low <= truth) & (truth <= high)).double().mean()) <= 0.98


@pytest.mark.parametrize("name", GAMES)
def test_four_orders_are_right_on_average(name):
    truth = values.exact(GAMES[name]()).values[0]
    sampled_values = values.permutation(GAMES[name](copies=500), orders=4, seed=1).values
    assert deviation_in_standard_errors(sampled_values, truth) < 4
    assert float(sampled_values.std(0).min()) > 0


@RARE
@pytest.mark.parametrize("name", GAMES)
def test_standard_errors_are_what_runs_differ_by(name):
    sampled = values.permutation(GAMES[name](copies=300), orders=40)
    expected = sampled.values.var(0)
    torch.testing.assert_close((sampled.stderr**2).mean(0).sum(), expected.sum(), rtol=0.15, atol=0)


@pytest.mark.parametrize(("which", "players"), [((0, 1), (2, 4)), ((0, 2), (3, 4)), ((1,), None)])
def test_many_orders_come_to_the_exact_values(images, which, players):
    game = make_game(images[list(which)], players=players)
    truth, sampled = values.exact(game).values, values.permutation(game, orders=1000)
    low, high = sampled.interval(0.9999)
    assert bool(((low <= truth) & (truth <= high)).all())
    assert float(sampled.uncertainty.max()) < 0.01
    assert float((sampled.values - truth).norm(dim=1).div(truth.norm(dim=1)).max()) < 0.01


@pytest.mark.parametrize("orders", [1, 2, 5, 8, 31])
def test_a_game_of_pairs_needs_one_order(orders):
    game = pairs_game()
    sampled = values.permutation(game, orders=orders)
    torch.testing.assert_close(sampled.values, values.exact(game).values, atol=1e-9, rtol=0)
    if orders > 4:
        assert float(sampled.stderr.max()) < 1e-9


@pytest.mark.parametrize("n", [2, 3])
def test_few_players(n):
    table = random_table(n)
    game = table_game(table)
    sampled = values.permutation(game, orders=400)
    low, high = sampled.interval(0.9999)
    truth = values.exact(game).values
    assert bool(((low - 1e-12 <= truth) & (truth <= high + 1e-12)).all())
    assert sampled.evaluations.tolist() == [400 * (n - 1)]


def test_one_player_has_it_all_without_an_evaluation():
    table = random_table(3)
    sampled = values.permutation(table_game(table, players=(1, 1)))
    torch.testing.assert_close(sampled.values, (table[-1] - table[0]).reshape(1, 1))
    assert sampled.stderr.tolist() == [[0.0]]
    assert sampled.evaluations.tolist() == [0]


@pytest.mark.parametrize(("orders", "samples"), [(1, 1), (4, 1), (5, 2), (32, 8), (33, 9), (50, 13), (400, 100)])
def test_orders_are_made_a_multiple_of_four(images, orders, samples):
    game = make_game(images[1:], players=(2, 3))
    counted = []
    value = game.value
    game.value = lambda coalitions, which: counted.append(coalitions.shape[1]) or value(coalitions, which)
    sampled = values.permutation(game, orders=orders)
    assert sampled.samples.tolist() == [min(samples, STREAMS)] * 2
    assert sampled.evaluations.tolist() == [4 * samples * 5] * 2
    assert sum(counted) == 4 * samples * 5


def test_the_standard_error_of_one_sample_is_not_known(images):
    sampled = values.permutation(make_game(images), orders=4)
    assert bool(sampled.stderr.isnan().all())
    assert not bool(sampled.values.isnan().any())


def streams_error(samples):
    """The standard error of the mean of samples (b, m, n) that belong to the streams in turn, weighted by length."""
    m = samples.shape[1]
    of_streams = [samples[:, stream::STREAMS] for stream in range(min(m, STREAMS))]
    shares = [part.shape[1] / m for part in of_streams]
    squares = sum(
        (share * (part.mean(1) - samples.mean(1))) ** 2 for share, part in zip(shares, of_streams, strict=True)
    )
    return (squares / (1 - sum(share**2 for share in shares))).sqrt()


def test_the_standard_error_is_that_of_the_streams(images):
    """Taken together from rounds, as if all had been kept."""
    game = make_game(images[1:], players=(2, 3))
    evaluated = []
    value = game.value
    game.value = lambda coalitions, which: evaluated.append((coalitions, value(coalitions, which))) or evaluated[-1][1]
    sampled = values.permutation(game, orders=60)
    coalitions, worth = (torch.cat(part, 1).unflatten(1, (15, 4, 5)) for part in zip(*evaluated, strict=True))
    whole = torch.cat([torch.zeros(2, 15, 4, 1), worth, game.grand.reshape(2, 1, 1, 1).expand(2, 15, 4, 1)], 3)
    inside = torch.cat([torch.zeros(2, 15, 4, 1, 6), coalitions, torch.ones(2, 15, 4, 1, 6)], 3)
    marginals = (inside.diff(dim=3) * whole.diff(dim=3)[..., None]).sum(3).mean(2)
    torch.testing.assert_close(sampled.values, marginals.mean(1), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(sampled.stderr, streams_error(marginals), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("has_prefix", [False, True])
@pytest.mark.parametrize("n", range(1, 10))
def test_the_four_orders_of_a_sample(n, has_prefix):
    """Each places every player once; two are the others reversed, and two the others with their halves exchanged."""
    streams = OrderStreams(n, torch.Generator().manual_seed(n), has_prefix=has_prefix)
    first, exchanged, reverse, both = streams.draw(50).unbind(1)
    for places in (first, exchanged, reverse, both):
        assert bool((places.sort(1).values == torch.arange(n)).all())
    assert bool((first + reverse == n - 1).all())
    assert bool((exchanged + both == n - 1).all())
    early = first < n // 2
    assert bool((exchanged[early] == first[early] + n - n // 2).all())
    assert bool((exchanged[~early] == first[~early] - n // 2).all())


@pytest.mark.parametrize("has_prefix", [False, True])
def test_every_order_is_equally_likely(has_prefix):
    """Also the later ones of a stream, of which each is made to balance those before it."""
    drawn = [OrderStreams(4, torch.Generator().manual_seed(s), has_prefix=has_prefix).draw(17) for s in range(1200)]
    places = torch.stack(drawn)[:, :, 0]
    for sample in (0, 8, 16):
        numbers = (places[:, sample] * torch.tensor([64, 16, 4, 1])).sum(1)
        counts = numbers.unique(return_counts=True)[1]
        assert len(counts) == 24
        assert float((counts - 50).square().sum() / 50) < 52.6  # chi-squared with 23 degrees of freedom: p = 0.0004


def test_orders_of_a_stream_balance_each_other():
    """n - 1 orthogonal vectors of sum 0 span all: the squares of what they give any two players sum to the same."""
    streams = OrderStreams(6, torch.Generator().manual_seed(1), has_prefix=False)
    for stream in range(STREAMS):
        vectors = torch.stack([streams._vector(stream) for _ in range(5)])
        unit = vectors / vectors.norm(dim=1, keepdim=True)
        torch.testing.assert_close(unit @ unit.T, torch.eye(5, dtype=torch.float64))
        torch.testing.assert_close(unit.sum(1), torch.zeros(5, dtype=torch.float64))


def test_the_prefix_takes_evenly_spread_places():
    """Of 10 samples of a stream with four orders each it meets each fifth of 20 places eight times, or nearly."""
    places = OrderStreams(20, torch.Generator().manual_seed(3), has_prefix=True).draw(10 * STREAMS)[..., -1]
    for stream in range(STREAMS):
        counts = (places[stream::STREAMS].flatten() // 4).bincount(minlength=5)
        assert int((counts - 8).abs().max()) <= 2


@pytest.mark.parametrize("tolerance", [0.02, 0.003, 0.0015])
def test_sampling_goes_on_to_the_tolerance(images, tolerance):
    sampled = values.permutation(make_game(images), tolerance=tolerance)
    assert float(sampled.uncertainty.max()) <= tolerance
    assert int(sampled.samples.min()) >= 8
    assert int(sampled.evaluations.min()) >= 32 * 15


def test_a_smaller_tolerance_takes_more(images):
    spent = [
        values.permutation(make_game(images[1:], players=(2, 4)), tolerance=t).evaluations
        for t in (0.02, 0.002, 0.0005)
    ]
    assert bool((spent[0] < spent[1]).all())
    assert bool((spent[1] < spent[2]).all())


@pytest.mark.parametrize(("most", "samples"), [(48, 12), (32, 8), (20, 5)])
def test_sampling_ends_with_a_warning_of_what_was_reached(most, samples):
    game = table_game(random_table(6, seed=1), copies=2)
    with pytest.warns(ToleranceWarning) as caught:
        sampled = values.permutation(game, tolerance=0.001, most_orders=most)
    assert sampled.evaluations.tolist() == [4 * samples * 5] * 2
    reached = float(sampled.uncertainty.max())
    assert str(caught[0].message) == (
        f"after {most} orders the standard error is up to {reached:.2%} of the values (image 0, 1 of the batch), "
        "where 0.10% was asked; allow more orders, a larger tolerance, or group cells with players="
    )


def test_the_warning_names_only_the_images_that_are_open(images):
    game = make_game(images, players=(2, 4))
    with pytest.warns(ToleranceWarning, match=r"after 32 orders .* \(image 1, 2 of the batch\), where 0.05% was asked"):
        values.permutation(game, tolerance=0.0005, most_orders=32)


def test_one_sample_does_not_reach_a_tolerance():
    """The standard error of one sample is unknown, so it may not be taken as small enough."""
    with pytest.warns(ToleranceWarning, match="after 4 orders"):
        values.permutation(table_game(random_table(5)), most_orders=4)


def test_each_image_stops_by_itself(images):
    together = values.permutation(make_game(images, players=(2, 4)), tolerance=0.0005)
    assert int(together.evaluations[0]) == 32 * 7
    assert int(together.evaluations[1:].min()) > 32 * 7
    for index in range(3):
        alone = values.permutation(make_game(images[index : index + 1], players=(2, 4)), tolerance=0.0005)
        torch.testing.assert_close(together.values[index], alone.values[0], atol=1e-10, rtol=1e-9)
        torch.testing.assert_close(together.stderr[index], alone.stderr[0], atol=1e-10, rtol=1e-6)
        assert together.samples[index] == alone.samples[0]
        assert together.evaluations[index] == alone.evaluations[0]


def test_memory_changes_nothing(images):
    few, many = (
        values.permutation(make_game(images, memory=memory, players=(2, 3)), orders=8) for memory in (1, 64 * 2**20)
    )
    torch.testing.assert_close(few.values, many.values, atol=1e-10, rtol=1e-9)


def test_seeds(images):
    game = make_game(images)
    first, same_seed, other_seed = (values.permutation(game, orders=20, seed=seed).values for seed in (3, 3, 4))
    assert torch.equal(first, same_seed)
    assert bool(((first - other_seed).abs().amax(1) > 0).all())
    before = torch.random.get_rng_state()
    assert torch.equal(values.permutation(game, orders=20, seed=3).values, first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_orders_come_from_the_content():
    """Two copies of one game that differ in what the head does not read are two draws; equal images are one."""
    sampled_values = values.permutation(smooth_game(copies=2), orders=8).values
    assert float((sampled_values[0] - sampled_values[1]).abs().max()) > 1e-9
    twice = torch.randn(1, 3, 8, 8, dtype=torch.float64).expand(2, -1, -1, -1)
    sampled_values = values.permutation(make_game(twice), orders=8).values
    torch.testing.assert_close(sampled_values[0], sampled_values[1], atol=1e-12, rtol=0)


def test_progress_is_told(images):
    reports = []
    sampled = values.permutation(
        make_game(images, players=(2, 4)), tolerance=0.003, progress=lambda *report: reports.append(report)
    )
    orders, reached = zip(*reports, strict=True)
    assert list(orders) == sorted(set(orders))
    assert orders[0] == 32
    assert orders[-1] == int(sampled.evaluations.max()) // 7
    assert reached[-1] == pytest.approx(float(sampled.uncertainty.max()))
    assert reached[-1] <= 0.003 < reached[-2]


@pytest.mark.parametrize("orders", [0, -4])
def test_sampling_needs_orders(images, orders):
    with pytest.raises(OptionError, match=f"orders is {orders}; expected 1 or more"):
        values.permutation(make_game(images), orders=orders)


@pytest.mark.parametrize("most", [0, -4])
def test_sampling_to_a_tolerance_needs_orders(images, most):
    with pytest.raises(OptionError, match=f"most_orders is {most}; expected"):
        values.permutation(make_game(images), most_orders=most)


@pytest.mark.parametrize("tolerance", [0.0, -0.01, float("nan")])
def test_a_tolerance_is_positive(images, tolerance):
    message = f"tolerance is {tolerance}; expected a positive number, such as 0.01 for 1%"
    with pytest.raises(OptionError, match=message):
        values.permutation(make_game(images), tolerance=tolerance)


class TestContributions:
    """What a page that shows the sampling goes on with."""

    def test_each_sample_is_exact_for_a_game_of_pairs(self):
        game = pairs_game()
        (first,) = marginal_contributions(game, samples=[3])
        assert first.shape == (1, 3, 6)
        assert torch.allclose(first, values.exact(game).values[:, None].expand(1, 3, 6), atol=1e-9)

    def test_samples_sum_to_the_worth_of_everybody(self, images):
        game = make_game(images)
        for block in islice(marginal_contributions(game), 2):
            assert torch.allclose(block.sum(2), game.grand[:, None].expand(3, 8), atol=1e-9)

    def test_values_and_errors_are_those_of_the_samples(self, images):
        game = make_game(images)
        samples = torch.cat(list(islice(marginal_contributions(game), 3)), 1)
        shares = shares_of_samples(game, samples)
        assert torch.allclose(shares.values, samples.mean(1))
        assert torch.allclose(shares.stderr, streams_error(samples))
        assert shares.samples.tolist() == [STREAMS] * 3
        assert shares.evaluations.tolist() == [96 * (game.n_players - 1)] * 3

    @pytest.mark.slow
    def test_going_on_later_is_the_same(self, images):
        game, more = make_game(images), marginal_contributions(make_game(images), seed=4)
        at_once = torch.cat(list(islice(marginal_contributions(game, seed=4), 4)), 1)
        before = next(more)
        values.permutation(game, orders=16)  # another sampling between them
        assert torch.equal(torch.cat([before, *islice(more, 3)], 1), at_once)
