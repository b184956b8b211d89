"""Path values: how many nodes they need, the warning where none suffice, and where they are exact."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.nn import functional as F

from helpers.games import random_table, shapley_of, smooth_game, table_game
from helpers.networks import Smooth, Toy, logits, power, quadratic
from shapleycam import Explainer, values
from shapleycam.errors import EfficiencyGapWarning, OptionError, ScaleInvariantHeadWarning
from shapleycam.values.scale import ignores_scale


def make_game(model, images, utility="logit", **options):
    return Explainer(model, layer="features").game(images, target=0, utility=utility, **options)


def network_of_sum(function):
    """Return a network whose score is a function of Σ a."""
    return Toy(lambda a: logits(function(a.flatten(1).sum(1))))


def images_of_totals(*totals):
    """Return an image of four equal cells for each total."""
    return torch.tensor(totals, dtype=torch.float64).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 4


def make_normed_head(generator=None):
    """Return a network whose head ignores the scale of what it reads."""
    weight = torch.tensor([2.0, -1, 0.5, 3, 1, -2, 0, 1], dtype=torch.float64)
    return Toy(lambda a: logits((F.layer_norm(a.flatten(1), (8,), eps=1e-20) * weight).sum(1)))


def make_step_head(at=0.8):
    """A head that is flat but for a step, between any two nodes, and a slope so small that it is no probability."""
    return network_of_sum(lambda total: torch.sigmoid(1e5 * (total - at)) + 1e-9 * total)


@pytest.fixture
def contents():
    return torch.randn(1, 1, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("n", [2, 3, 5, 6, 8])
def test_the_path_of_a_multilinear_head_has_the_shapley_values(n):
    """Owen 1972. Its gradient along the path has degree n - 1, for which ⌈n/2⌉ nodes are exact."""
    table = random_table(n, seed=n)
    game, enough = table_game(table), -(-n // 2)
    torch.testing.assert_close(values.path(game, nodes=enough).values[0], shapley_of(table), atol=1e-9, rtol=0)
    torch.testing.assert_close(values.path(game, nodes=enough).values, values.exact(game).values, atol=1e-9, rtol=0)
    if enough > 1:
        fewer = values.path(game, nodes=enough - 1).values[0]
        assert float((fewer - shapley_of(table)).abs().max()) > 1e-6


def test_many_nodes_come_close_to_the_exact_values_of_a_smooth_head():
    game = smooth_game(size=1.0)
    truth, path_values = values.exact(game).values, values.path(game, nodes=32).values
    assert float((path_values - truth).norm() / truth.norm()) < 0.05
    assert float((values.taylor(game, order=1).values - truth).norm() / truth.norm()) > 0.05
    torch.testing.assert_close(path_values.sum(1), game.grand, atol=1e-9, rtol=0)


@pytest.mark.parametrize("n", [4, 9])
def test_on_a_quadratic_head_all_are_one(n):
    generator = torch.Generator().manual_seed(n)
    weight = torch.randn(n, dtype=torch.float64, generator=generator)
    matrix = torch.randn(n, n, dtype=torch.float64, generator=generator)
    image = torch.randn(2, 1, 1, n, dtype=torch.float64, generator=generator)
    game = make_game(quadratic(weight, matrix + matrix.T), image)
    truth = values.exact(game).values
    estimates = [values.taylor(game), values.path(game, nodes=1), values.path(game, nodes="auto")]
    for estimate in [*estimates, values.permutation(game, orders=4), values.kernel(game, evaluations=20 * n)]:
        torch.testing.assert_close(estimate.values, truth, atol=1e-9, rtol=0)
    assert float((values.taylor(game, order=1).values - truth).abs().max()) > 0.1


def test_the_order_of_a_taylor_estimate(contents):
    game = make_game(Smooth(), torch.randn(2, 3, 8, 8, dtype=torch.float64))
    for order in (1, 2):
        estimate = values.taylor(game, order)
        assert estimate.evaluations.tolist() == [order] * 2
        assert estimate.stderr is None
    for order in (0, 3):
        with pytest.raises(OptionError, match=f"order is {order}; expected 1 or 2"):
            values.taylor(game, order)


def test_a_smooth_head_takes_few_nodes():
    game = make_game(Smooth(), torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
    estimate = values.path(game, nodes="auto")
    assert estimate.nodes.tolist() == [4] * 3
    assert estimate.evaluations.tolist() == [4] * 3
    assert torch.equal(estimate.values, values.path(game, nodes=4).values)
    many = values.path(game, nodes=64).values
    assert float((estimate.values - many).norm() / many.norm()) < 1e-4


@pytest.mark.parametrize("tolerance", [0.03, 0.01, 1e-6])
def test_each_image_takes_the_nodes_that_it_needs(tolerance):
    """Of tanh(Σ a), which is what the values have to sum to: the larger the sum, the more of the path is flat."""
    images = images_of_totals(0.5, 2, 6, 12, 25)
    game = make_game(network_of_sum(torch.tanh), images)
    estimate = values.path(game, nodes="auto", tolerance=tolerance)
    assert len(estimate.nodes.unique()) > 2
    assert estimate.nodes.tolist() == sorted(estimate.nodes.tolist())
    sums = torch.tanh(images.sum((1, 2, 3)))
    assert bool(((estimate.values.sum(1) - sums).abs() <= tolerance * sums).all())
    for image, nodes in enumerate(estimate.nodes.tolist()):
        assert torch.equal(estimate.values[image], values.path(game, nodes=nodes).values[image])
        assert int(estimate.evaluations[image]) == sum(2**power for power in range(2, 7) if 2**power <= nodes)
        if nodes > 4:
            fewer = values.path(game, nodes=nodes // 2).values[image].sum()
            assert (fewer - sums[image]).abs() > tolerance * sums[image]


def test_batch_mates_change_no_nodes():
    images = images_of_totals(0.5, 12)
    together = values.path(make_game(network_of_sum(torch.tanh), images), nodes="auto")
    for index in range(2):
        alone = values.path(make_game(network_of_sum(torch.tanh), images[index : index + 1]), nodes="auto")
        torch.testing.assert_close(together.values[index], alone.values[0], atol=1e-12, rtol=0)
        assert together.nodes[index] == alone.nodes[0]
        assert together.evaluations[index] == alone.evaluations[0]


@pytest.mark.parametrize("nodes", [1, 3, 8])
def test_nodes_that_are_asked_for_are_recorded(nodes):
    estimate = values.path(make_game(power(3), images_of_totals(1, 2)), nodes=nodes)
    assert estimate.nodes.tolist() == [nodes] * 2
    assert estimate.evaluations.tolist() == [nodes] * 2
    assert estimate.stderr is None
    assert estimate.samples is None


@pytest.mark.parametrize("nodes", [0, -2])
def test_a_path_has_nodes(nodes):
    with pytest.raises(OptionError, match=f"nodes is {nodes}; expected 1 or more gradients along the path, or 'auto'"):
        values.path(make_game(power(3), images_of_totals(1)), nodes=nodes)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_the_tolerance_of_a_path_is_positive(tolerance):
    with pytest.raises(OptionError, match=f"tolerance is {tolerance}; expected a positive number"):
        values.path(make_game(power(3), images_of_totals(1)), nodes="auto", tolerance=tolerance)


def test_a_step_is_seen_by_no_number_of_nodes():
    message = (
        r"64 nodes along the path leave the values' sum up to >99\.9% away from v\(N\) \(image 1 of the batch\), where "
        r"1\.0% was asked; sampledshapley has no such gap"
    )
    game = make_game(make_step_head(), images_of_totals(0.2, 1))
    # What the first image is worth is far below rounding, and so is what is missing of it.
    straight = make_game(
        network_of_sum(lambda total: torch.sigmoid(1e5 * (total - 0.8)) + total), images_of_totals(0.2, 1)
    )
    with pytest.warns(EfficiencyGapWarning, match=message.replace(r">99\.9", r"50\.0")):
        estimate = values.path(straight, nodes="auto")
    assert estimate.nodes.tolist() == [4, 64]
    assert estimate.evaluations.tolist() == [4, 124]
    with pytest.warns(EfficiencyGapWarning, match=r"up to >99\.9% away"):
        estimate = values.path(game, nodes="auto")
    assert float(estimate.values.abs().max()) < 1e-6
    sampled = values.permutation(game, orders=8)
    torch.testing.assert_close(sampled.values[1], torch.full((4,), 0.25, dtype=torch.float64))


def test_a_gap_is_told_of_every_image_that_has_one():
    model = network_of_sum(lambda total: torch.sigmoid(1e5 * (total - 0.8)) + total)
    with pytest.warns(EfficiencyGapWarning, match=r"\(image 0, 2 of the batch\), where 2\.5% was asked"):
        values.path(make_game(model, images_of_totals(1, 0.2, 1.1)), nodes="auto", tolerance=0.025)


def test_a_head_that_ignores_scale_is_named_and_sampling_is_right(contents):
    game = make_game(make_normed_head(), contents)
    message = (
        r"what comes after layer 'features' ignores the scale of the activation \(utility 'logit' is the same at A/16 "
        r"as at A, but not at 0, as before a norm\).*use method 'sampledshapley', which needs no derivative"
    )
    with pytest.warns(ScaleInvariantHeadWarning, match=message) as caught:
        estimate = values.path(game, nodes="auto")
    assert len(caught) == 1
    assert estimate.nodes.tolist() == [64]
    assert float(estimate.values.sum().abs()) < 0.01 * float(game.grand.abs())
    truth, sampled = values.exact(game).values, values.permutation(game, orders=400)
    low, high = sampled.interval(0.9999)
    assert bool(((low <= truth) & (truth <= high)).all())


def test_a_head_that_is_saturated_halfway_does_not_ignore_scale():
    """U = tanh(8 S) is 0.9993 of its value at half of S = 1, and 0.46 at a sixteenth: the path divides all of it."""
    game = make_game(network_of_sum(lambda total: torch.tanh(8 * total)), images_of_totals(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScaleInvariantHeadWarning)
        assert not ignores_scale(game)
        total = values.path(game, nodes="auto").values.sum()
    torch.testing.assert_close(float(total), math.tanh(8), rtol=0.03, atol=0)


def test_nothing_to_divide_leaves_no_gap():
    """Of U = S - S² at S = 1 v(N) is 0; in float32 what is left of it is rounding, and no news."""
    image = torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    game = make_game(network_of_sum(lambda total: total - total**2), image / image.sum())
    assert float(game.grand.abs()) < 1e-6
    assert float(values.path(game, nodes="auto").values.sum().abs()) < 1e-6
