"""Shapley values where something other than zero stands in for absent content: pencil, axioms, and the path."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import Tokens, noise
from helpers.networks import Smooth, Toy, linear, logits, power, quadratic
from shapleycam import Explainer, values
from shapleycam.values.distance import relative_error

double = torch.float64
GRID = (2, 3)


def activations(images=2, channels=4, seed=0):
    return noise(images, channels, *GRID, seed=seed, dtype=double)


REMOVALS = {
    "zero": "zero",
    "mean": "mean",
    "reference": "mean",
    "tensor": noise(4, *GRID, seed=8, dtype=double),
    "function": lambda activation: 0.3 * activation.flip(2) - 0.2,
}


def game_with(model, removal, images=None, utility="logit", layer="features"):
    images = activations() if images is None else images
    reference = noise(5, *images.shape[1:], seed=9, dtype=double) if removal == "reference" else None
    explainer = Explainer(model.double(), layer=layer, removal=REMOVALS[removal], reference=reference)
    return explainer.game(images, target=0, utility=utility)


ESTIMATORS = {
    "exact": values.exact,
    "sampled": lambda game: values.permutation(game, orders=8),
    "path": lambda game: values.path(game, nodes=8),
    "first order": lambda game: values.taylor(game, order=1),
    "second order": lambda game: values.taylor(game, order=2),
    "kernel": lambda game: values.kernel(game, evaluations=200),
}


def content_by_hand(removal, images):
    """A - R, made anew."""
    if removal == "zero":
        return images
    if removal == "mean":
        return images - images.mean((2, 3), keepdim=True)
    if removal == "reference":
        return images - noise(5, *images.shape[1:], seed=9, dtype=double).mean(0)
    choice = REMOVALS[removal]
    return images - (choice if removal == "tensor" else choice(images))


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_of_a_linear_utility_each_value_is_the_weighted_content(estimator, removal):
    weight = noise(4, *GRID, seed=3, dtype=double)
    game = game_with(linear(weight), removal)
    expected = (weight * content_by_hand(removal, activations())).sum(1).flatten(1)
    torch.testing.assert_close(ESTIMATORS[estimator](game).values.double(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("estimator", ["path", "second order", "sampled"])
def test_of_a_quadratic_utility_the_estimates_are_exact(estimator, removal):
    square = noise(24, 24, seed=4, dtype=double)
    game = game_with(quadratic(noise(24, seed=5, dtype=double), square + square.T), removal)
    truth = values.exact(game).values
    torch.testing.assert_close(ESTIMATORS[estimator](game).values, truth, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("removal", ["zero", "mean", "reference", "function"])
def test_of_a_square_pairs_interact_by_their_contents(removal):
    """U = (Σa)²: pairs earn 2 C_i C_j together, a player alone C_i² + 2 C_i ΣR."""
    images = activations(channels=1)
    content = content_by_hand(removal, images)
    game = game_with(power(2), removal, images)
    total = (images - content).sum((1, 2, 3))[:, None]
    content = content.flatten(1)
    effects = values.interactions(game)
    pairs = 2 * content[:, :, None] * content[:, None]
    expected = pairs - pairs.diagonal(dim1=1, dim2=2).diag_embed()
    torch.testing.assert_close(effects.pairs, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(effects.own, content.square() + 2 * content * total, rtol=1e-9, atol=1e-9)
    sampled = values.sampled_interactions(game, rounds=2).pairs
    torch.testing.assert_close(sampled, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("removal", REMOVALS)
def test_values_are_efficient(removal):
    game = game_with(Smooth(), removal, noise(2, 3, 4, 6, dtype=double), "rest")
    for estimate in (values.exact(game), values.permutation(game, orders=8), values.kernel(game, evaluations=99)):
        torch.testing.assert_close(estimate.values.sum(1), game.grand, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(values.path(game, nodes=24).values.sum(1), game.grand, rtol=1e-6, atol=1e-6)
    effects = values.interactions(game)
    second = effects.own.sum(1) + effects.pairs.sum((1, 2)) / 2
    torch.testing.assert_close(values.taylor(game, order=2).values.sum(1), second, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("removal", REMOVALS)
def test_values_are_linear_in_the_utility(removal):
    model, images = Smooth(), noise(2, 3, 4, 6, dtype=double)
    first, second, mixed = (
        game_with(model, removal, images, utility)
        for utility in (
            lambda output, _: output[:, 0],
            lambda output, _: output.log_softmax(1)[:, 1],
            lambda output, _: 2 * output[:, 0] - 3 * output.log_softmax(1)[:, 1],
        )
    )
    for name, estimate in ESTIMATORS.items():
        expected = 2 * estimate(first).values - 3 * estimate(second).values
        # Sampled with a control variate, whose factor depends on the utility: linear up to what is left to sample.
        tolerance = 1e-3 * float(expected.abs().max()) if name == "sampled" else 1e-8
        torch.testing.assert_close(estimate(mixed).values, expected, rtol=1e-8, atol=tolerance, msg=name)


def test_a_place_that_holds_what_stands_in_earns_nothing():
    """Whatever the head: with or without it the activation is the same."""
    model, images = Smooth(), noise(2, 3, 4, 6, dtype=double)
    dummy = (slice(None), slice(None), 1, 2)

    def stand_in(activation):
        replacement = 0.4 * activation + 0.1
        replacement[dummy] = activation[dummy]
        return replacement

    game = Explainer(model, layer="features", removal=stand_in).game(images, target=0)
    for name in ("exact", "path", "first order", "second order"):
        assert ESTIMATORS[name](game).values[:, 5].abs().max() < 1e-12, name
    sampled = ESTIMATORS["sampled"](game).values.abs()  # its control variate depends on how many are present, too
    assert sampled[:, 5].max() < 1e-5 * sampled.max()
    assert values.interactions(game).pairs[:, 5].abs().max() < 1e-12
    assert values.sampled_interactions(game, rounds=2).pairs[:, 5].abs().max() < 1e-12


def test_prefix_tokens_earn_nothing_where_they_are_their_own_mean():
    model = Tokens(lambda tokens: logits(tokens.tanh().prod(1).sum(1) + tokens.square().sum((1, 2))), prefix=1)
    game = Explainer(model.double(), layer="features", layout="tokens 2x3 after 1", removal="mean").game(activations())
    for name in ("exact", "sampled", "path", "second order"):
        prefix = ESTIMATORS[name](game).values[:, -1]
        assert prefix.abs().max() < 1e-12, name


@pytest.mark.filterwarnings("ignore:layout 'tokens 2 x 3 after 1 prefix' was given")
def test_with_reference_photographs_prefix_tokens_have_their_own_mean():
    """The token is the photograph's first cell, so that each photograph has another."""
    model = Tokens(lambda tokens: logits(tokens.square().sum((1, 2))))
    model.features.forward = lambda x: torch.cat([x.flatten(2).mT[:, :1], x.flatten(2).mT], 1)
    reference = activations(5, seed=9)
    explainer = Explainer(
        model.double(), layer="features", layout="tokens 2x3 after 1", removal="mean", reference=reference
    )
    game = explainer.game(activations(), target=0, utility="logit")
    torch.testing.assert_close(game.contents.replacement[0, 0], reference[:, :, 0, 0].mean(0))
    expected = activations()[:, :, 0, 0].square().sum(1) - reference[:, :, 0, 0].mean(0).square().sum()
    torch.testing.assert_close(values.exact(game).values[:, -1], expected)


def test_zeros_give_the_values_of_zero_to_the_last_bit():
    """Behind a head without a shortcut the arithmetic is the same; only shortcuts add in another order."""
    model, images = Smooth(), noise(2, 3, 4, 6, dtype=double)
    zero, zeros = (
        Explainer(model, layer="features", removal=removal).game(images, target=0)
        for removal in ("zero", torch.zeros(4))
    )
    assert zero.structure == zeros.structure
    for name, estimate in ESTIMATORS.items():
        assert torch.equal(estimate(zero).values, estimate(zeros).values), name


def test_behind_a_norm_the_path_is_near_once_it_does_not_begin_at_zero():
    """LayerNorm of the mean: the same at all of t·A, so that a path from zero sees nothing; one from a mean does."""
    torch.manual_seed(0)
    model = Toy(nn.Sequential(Pool(), nn.LayerNorm(16), nn.Linear(16, 3))).double()
    of_channels = noise(1, 16, 1, 1, seed=6, dtype=double).exp()  # as in real networks, some have more than others
    images, reference = (of_channels * noise(count, 16, 3, 4, seed=count, dtype=double).exp() for count in (2, 64))
    errors = {}
    for name, options in {"zero": {}, "mean": {"removal": "mean", "reference": reference}}.items():
        game = Explainer(model, layer="features", **options).game(images, target=0)
        errors[name] = relative_error(values.path(game, nodes=8).values, values.exact(game).values)
    assert errors["zero"].min() > 0.5
    assert errors["mean"].max() < 0.1


class Pool(nn.Module):
    def forward(self, a):
        return a.mean((2, 3))


def test_nodes_are_few_where_nothing_is_to_divide():
    """Of a head that reads the mean alone, no node is better than another, and rounding is no gap."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.MaxPool2d(1), Pool(), nn.LayerNorm(4), nn.Linear(4, 3))
    images = 50 * activations().float()
    game = Explainer(model, layer="0", removal="mean").game(images, target=0)
    assert values.path(game, nodes="auto").nodes.tolist() == [4, 4]
