"""Gradients along the path, many in one run of the head, against those at each activation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from helpers.masked_games import ChannelsLast, Tokens, game_of, noise, pooling
from helpers.networks import Toy
from helpers.toy_heads import (
    NEITHER,
    Do,
    conv,
    square_images,
)


@pytest.mark.parametrize(("kind", "places"), [(Toy, (2, 3)), (Tokens, 1), (ChannelsLast, (1, 2))])
@pytest.mark.parametrize(
    "after", [nn.Identity, nn.Softplus, lambda: nn.LayerNorm(4)], ids=["", "softplus", "layer norm"]
)
@pytest.mark.parametrize("utility", ["rest", "probability"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_along_a_pooled_head(kind, places, after, utility, dtype):
    images = noise(3, 4, 3, 5, dtype=dtype)
    torch.manual_seed(4)
    model = kind(nn.Sequential(Do(lambda a: a.mean(places)), after(), nn.Linear(4, 3))).to(dtype)
    game = game_of(model, images, utility, [2, 0, 1])
    assert game.structure.reads_mean
    scales = [0.03, 0.3, 0.5, 1.0, 1.7]
    gradients = [game.gradient_along([scale], [1.0]) for scale in scales]
    assert len(gradients) == len(scales)
    for scale, gradient in zip(scales, gradients, strict=True):
        expected = game.gradient(scale * game.activation)
        assert gradient.shape == expected.shape
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient, expected, rtol=1e-3 if dtype is torch.float32 else 1e-9, atol=1e-6)
        assert expected.abs().max() > 1e-5
    torch.testing.assert_close(gradients[3], game.gradient(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scales", [[1.0], [0.25, 0.75], [0.9, 0.1, 0.5]])
def test_gradients_along_other_heads(scales):
    game = game_of(pooling(nn.Sequential(conv(3), nn.GELU())).double(), square_images(), "rest", 0)
    assert not game.structure.reads_mean
    for scale in scales:
        gradient = game.gradient_along([scale], [1.0])
        torch.testing.assert_close(gradient, game.gradient(scale * game.activation))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_gradients_along_inside_the_callers_modes(mode):
    model, images = pooling(None, nn.Softplus()), square_images(dtype=torch.float32)
    expected = game_of(model, images).gradient_along([0.2, 0.8], [0.5, 2.0])
    with mode():
        gradient = game_of(model, images).gradient_along([0.2, 0.8], [0.5, 2.0])
    torch.testing.assert_close(gradient, expected)
    assert not gradient.requires_grad


@pytest.mark.parametrize("memory", [1, 18_000, 2**26])
def test_points_are_evaluated_together_as_far_as_memory_allows(memory):
    convolution = nn.Conv2d(4, 4, 3, padding=1)
    model = Toy(nn.Sequential(convolution, nn.Tanh(), convolution, nn.AvgPool2d(4), nn.Flatten())).double()
    game = game_of(model, square_images(2), "rest", [0, 1], memory=memory)
    assert game.structure == NEITHER
    scales, weights = [0.1, 0.4, 0.6, 0.9], [1.0, 2.0, 0.5, 0.25]
    rows, head = [], game._trace.head
    game._trace.head = lambda activation, samples: (rows.append(len(activation)), head(activation, samples))[1]
    along = game.gradient_along(scales, weights)
    game._trace.head = head
    assert rows == {1: [2, 2, 2, 2], 18_000: [6, 2], 2**26: [8]}[memory]
    at_each = [game.gradient(scale * game.activation) for scale in scales]
    torch.testing.assert_close(along, sum(weight * each for weight, each in zip(weights, at_each, strict=True)))
