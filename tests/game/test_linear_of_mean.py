"""Behind a mean and a linear layer coalitions of channels that share most run through the head together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer, values
from shapleycam.game.linear_of_mean import matrix_of_means
from shapleycam.game.shortcuts import channel_means
from shapleycam.values._orders import prefixes

CHANNELS = 150
"""More than two blocks of coalitions that are looked at together."""
POOL = nn.AdaptiveAvgPool2d(1), nn.Flatten()


def images(count):
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def explainer_of(*head, utility="rest"):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, CHANNELS, 4, stride=4), nn.ReLU())
    return Explainer(nn.Sequential(body, *head).eval(), layer="0", utility=utility, device="cpu")


def utilities_of_model(explainer, pictures, present, target):
    """ReST of one image for coalitions (s, k), in float64, by the head with the channels set to zero."""
    body, *head = explainer.model.double()
    logits = nn.Sequential(*head)(body(pictures.double()) * present[:, :, None, None])
    return logits[:, target] + logits.log_softmax(1)[:, target]


def orders_of_channels():
    generator = torch.Generator().manual_seed(2)
    places = torch.stack([torch.randperm(CHANNELS, generator=generator) for _ in range(3)])
    return prefixes(places[None])[0].flatten(0, 1)


COALITIONS = {
    "each left out": ~torch.eye(CHANNELS, dtype=torch.bool),
    "each alone": torch.eye(CHANNELS, dtype=torch.bool),
    "the first of an order": orders_of_channels(),
    "random": torch.rand(100, CHANNELS, generator=torch.Generator().manual_seed(3)) < 0.5,
    "one of two": torch.stack([torch.arange(CHANNELS) % 2 == 0, torch.arange(CHANNELS) % 2 == 1]),
}


@pytest.mark.parametrize("name", COALITIONS)
def test_the_values_are_those_of_the_model(name):
    explainer, present = explainer_of(*POOL, nn.Linear(CHANNELS, 7)), COALITIONS[name]
    game = explainer.game(images(2), target=3, players="channels")
    found = game.value(present)
    assert game.shortcut == "channel_means"
    nobody = torch.zeros_like(present[:1])
    for image in range(2):
        of_model = utilities_of_model(explainer, images(2)[image : image + 1], torch.cat([nobody, present]), 3)
        torch.testing.assert_close(found[image].double(), (of_model[1:] - of_model[0]).detach(), rtol=1e-4, atol=2e-6)


def test_few_rows_run_through_the_head(monkeypatch):
    game = explainer_of(*POOL, nn.Linear(CHANNELS, 7)).game(images(1), target=3, players="channels")
    values.leave_one_out(game)
    rows = []
    head = game.trace.head_of_any_size
    monkeypatch.setattr(game.trace, "head_of_any_size", lambda a, s: rows.append(len(a)) or head(a, s))
    values.leave_one_out(game)
    # three blocks of coalitions and one to compare with, and by twos what is checked after each use
    assert max(rows) == 4
    assert sum(rows) < 20


def test_a_matrix_that_the_head_contradicts_is_not_used(monkeypatch):
    expected = values.leave_one_out(explainer_of(*POOL, nn.Linear(CHANNELS, 7)).game(images(2), players="channels"))
    monkeypatch.setattr(channel_means, "matrix_of_means", lambda trace: torch.ones(CHANNELS, 7))
    game = explainer_of(*POOL, nn.Linear(CHANNELS, 7)).game(images(2), players="channels")
    torch.testing.assert_close(values.leave_one_out(game).values, expected.values, rtol=1e-3, atol=1e-6)


class Doubled(nn.Module):
    """A linear layer whose product PyTorch is told to double."""

    def forward(self, x):
        return torch.addmm(torch.zeros(2), x, torch.eye(CHANNELS)[:, :2], alpha=2)


@pytest.mark.parametrize(
    "head",
    [
        (*POOL, nn.Linear(CHANNELS, 4), nn.Linear(4, 3)),
        (*POOL, nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 3)),
        (nn.Conv2d(CHANNELS, 4, 1), *POOL, nn.Linear(4, 3)),
        (nn.ReLU(), *POOL, nn.Linear(CHANNELS, 3)),
        (nn.Flatten(), nn.Linear(CHANNELS * 9, 3)),
        (*POOL, Doubled()),
    ],
    ids=["two layers", "norm", "convolution before", "units before", "no mean", "doubled"],
)
def test_other_heads_have_no_matrix(head):
    trace = explainer_of(*head, utility="logit").game(images(1)).trace
    assert matrix_of_means(trace) is None
