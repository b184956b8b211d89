"""Channels behind a mean, a linear layer and a softmax: what each adds at once, and Shapley values sampled by it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer, values
from shapleycam.errors import ReplayError, ToleranceWarning
from shapleycam.game.softmax_of_channels import SoftmaxOfChannels, softmax_of_channels
from shapleycam.utilities import UTILITIES
from shapleycam.values import _softmax_sampling
from shapleycam.values._softmax_sampling import softmax_sampling

CHANNELS = 12


def network(*tail, scale=1.0, channels=CHANNELS):
    torch.manual_seed(0)
    linear = nn.Linear(channels, 5)
    linear.weight.data *= scale
    layers = nn.Conv2d(3, channels, 4, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear
    return nn.Sequential(*layers, *tail).eval()


def game_of(model, utility="rest", **options):
    images = 3 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(model, layer="1", utility=utility, device="cpu", **options)
    return explainer.game(images, target=1, players="channels")


@pytest.mark.parametrize("name", UTILITIES)
def test_utilities_that_say_so_are_sums_of_a_logit_and_its_log_softmax(name):
    utility = UTILITIES[name]
    z, target = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 5, 5])
    if utility.log_softmax_terms is None:
        assert softmax_of_channels(game_of(network(), name)) is None
        return
    of_logit, of_probability = utility.log_softmax_terms
    own, rows = z.gather(1, target[:, None])[:, 0], torch.arange(4)
    expected = of_logit * own + of_probability * z.log_softmax(1)[rows, target]
    torch.testing.assert_close(utility(z, target), expected)


@pytest.mark.parametrize("utility", ["rest", "log_probability"])
@pytest.mark.parametrize("removal", ["zero", torch.full((CHANNELS,), 0.3)])
def test_what_channels_add_is_what_the_head_says(utility, removal):
    game = game_of(network(scale=5), utility, removal=removal)
    coalitions = torch.rand(7, CHANNELS, generator=torch.Generator().manual_seed(2)) < 0.5
    for image, of_image in enumerate(softmax_of_channels(game)):
        gained = of_image.contributions(coalitions)
        for channel in range(CHANNELS):
            with_it, without_it = coalitions.clone(), coalitions.clone()
            with_it[:, channel], without_it[:, channel] = True, False
            expected = game.value(with_it, [image])[0] - game.value(without_it, [image])[0]
            torch.testing.assert_close(gained[:, channel], expected, rtol=1e-4, atol=1e-5)


def test_two_channels_by_pencil():
    """Scores (0, 0), steps (log 2, 0) and (0, log 2) of class 0: of U = log softmax(z)_0 channel 0 adds log 4/3."""
    log2 = 0.6931472
    game = SoftmaxOfChannels(torch.tensor([[log2, 0.0], [0.0, log2]]), torch.tensor([log2, log2]), 0, (0.0, 1.0))
    gained = game.contributions(torch.tensor([[False, False], [True, True]]))
    # softmax: nobody 1/2; channel 0 alone 2/3, channel 1 alone 1/3; both 1/2
    expected = torch.tensor([[4 / 3, 2 / 3], [3 / 2, 3 / 4]]).log()
    torch.testing.assert_close(gained, expected)


def test_sampled_values_are_within_their_errors_of_the_exact_ones_and_sum_to_the_whole():
    game = game_of(network(scale=5))
    shares, exact = softmax_sampling(game, 0.003), values.exact(game).values
    torch.testing.assert_close(shares.values.sum(1), game.grand.double())
    assert bool((shares.uncertainty <= 0.003).all())
    errors = (shares.values - exact).norm(dim=1) / exact.norm(dim=1)
    assert bool((errors < 3 * 0.003).all())
    coarse = softmax_sampling(game, 1.0)
    assert coarse.evaluations.tolist() == [40, 40]
    assert bool(((coarse.values - exact).norm(dim=1) < 3 * coarse.stderr.norm(dim=1)).all())


def test_what_an_image_gets_does_not_depend_on_its_batch_mates():
    model = network()
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    explainer = Explainer(model, layer="1", device="cpu")
    together = softmax_sampling(explainer.game(images, target=1, players="channels"))
    alone = softmax_sampling(explainer.game(images[1:2], target=1, players="channels"))
    torch.testing.assert_close(together.values[1:2], alone.values, rtol=1e-5, atol=1e-7)


def test_other_heads_and_steps_that_would_be_lost_in_rounding_are_left_to_others():
    assert softmax_of_channels(game_of(network(nn.Tanh()))) is None
    assert softmax_of_channels(game_of(network(scale=500))) is None
    assert softmax_of_channels(game_of(network(), memory=500)) is None
    explainer = Explainer(network(), layer="1", device="cpu")
    assert softmax_of_channels(explainer.game(torch.rand(1, 3, 16, 16))) is None  # players are places


def test_a_head_that_reads_more_than_its_operations_say_is_refused():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Conv2d(3, CHANNELS, 4, stride=4), nn.Linear(CHANNELS, 5)

        def forward(self, images):
            activation = self.body(images)
            score = self.head(activation.mean((2, 3)))
            return score + float((activation.detach() == 0).float().mean())

    torch.manual_seed(0)
    explainer = Explainer(Hidden().eval(), layer="body", device="cpu")
    try:
        games = softmax_of_channels(explainer.game(torch.rand(1, 3, 16, 16), target=1, players="channels"))
    except ReplayError:
        return
    assert games is None


def test_where_the_tolerance_is_not_reached_it_is_said(monkeypatch):
    monkeypatch.setattr(_softmax_sampling, "_MOST", 6)
    with pytest.warns(ToleranceWarning, match=r"after 48 coalitions the standard error of the channels' values is up"):
        softmax_sampling(game_of(network(scale=5)), 1e-6)


def test_channelshapley_samples_so_and_says_how_sure_it_is():
    images = 3 * torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(network(scale=5), layer="1", utility="rest", device="cpu")
    game = explainer.game(images, target=1, players="channels")
    e = explainer.explain(images, "channelshapley", target=1)
    expected = torch.einsum("bkhw,bk->bhw", game.activation, values.exact(game).values.float())
    assert float((e.values - expected).norm() / expected.norm()) < 0.03
    assert e.notes[0][0].startswith("the channels' values are sampled: their standard error is ")
