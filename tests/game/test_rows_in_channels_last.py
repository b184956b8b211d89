"""Many rows of a head in channels_last: from how many on, for which networks, and only where it is the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shapleycam import Explainer
from shapleycam.errors import ModelError

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def network(*head):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), *head).eval()


def convolutional(*steps, width=6):
    return network(nn.Conv2d(4, width, 3), nn.Tanh(), *steps, nn.Conv2d(width, 5, 2), nn.Flatten(), nn.Linear(5, 3))


class Same(nn.Module):
    def forward(self, a):
        return a


def runner_of(model, dtype=torch.float32):
    """Return the general runner of a model, and the list to which each run adds whether its rows are channels_last."""
    game = Explainer(model.to(dtype), layer="0", utility="logit").game(IMAGES.to(dtype), target=0)
    orders, head = [], game._trace.head

    def note_order(rows, samples):
        orders.append(not rows.is_contiguous() and rows.is_contiguous(memory_format=torch.channels_last))
        return head(rows, samples)

    game._trace.head = note_order
    return game._coalitions.general, orders


def outputs(runner, rows):
    presence = torch.rand(2, rows // 2, 16, generator=torch.Generator().manual_seed(rows)).round()
    return runner.outputs(presence, torch.tensor([0, 1]))


def test_from_64_rows_on_and_proven_once():
    model = convolutional(width=1800)  # 100,848 weights of convolutions; 62 rows have 992 pixels
    runner, orders = runner_of(model)
    outputs(runner, 62)
    assert orders == [False]
    first = outputs(runner, 64)
    assert orders == [False, True, False]  # the proof runs them both ways
    assert torch.equal(outputs(runner, 64), first)
    assert orders == [False, True, False, True]
    other, orders = runner_of(model)  # of another photograph
    assert torch.equal(outputs(other, 64), first)
    assert orders == [True]
    with torch.no_grad():
        kept = torch.rand(2, 32, 16, generator=torch.Generator().manual_seed(64)).round().unflatten(2, (4, 4))
        by_hand = model[1:]((runner._contents.activation[:, None] * kept[:, :, None]).flatten(0, 1))
    torch.testing.assert_close(first, by_hand, rtol=1e-5, atol=1e-6)


def test_few_rows_need_a_pixel_for_every_hundred_weights():
    runner, orders = runner_of(convolutional(width=112))  # 6,320 weights; a row has 16 pixels
    outputs(runner, 2)
    assert orders == [False]
    outputs(runner, 4)
    assert orders == [False, True, False]


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda: convolutional(Same()), torch.float32),
        (lambda: network(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)), torch.float32),
        (convolutional, torch.float64),
    ],
    ids=["a user's module", "no convolution", "float64"],
)
def test_where_it_is_not_tried(make, dtype):
    runner, orders = runner_of(make(), dtype)
    outputs(runner, 64)
    assert orders == [False]


@pytest.mark.parametrize("fault", ["another output", "an error"])
def test_where_it_is_not_the_same(monkeypatch, fault):
    runner, _ = runner_of(convolutional())
    head, calls = runner._trace.head, []

    def faulty(rows, samples):
        calls.append(rows.is_contiguous())
        if rows.is_contiguous():
            return head(rows, samples)
        if fault == "an error":
            raise ModelError("view size is not compatible")
        return head(rows, samples) + 1e-2

    monkeypatch.setattr(runner._trace, "head", faulty)
    images = torch.tensor([0, 1])
    everybody = runner._contents.of_coalitions(torch.ones(2, 32, 16), images).flatten(0, 1)
    expected = head(everybody, images.repeat_interleave(32))
    for _ in range(2):
        together = runner.outputs(torch.ones(2, 32, 16), images)
        torch.testing.assert_close(together, expected)
    assert calls == [False, True, True]
