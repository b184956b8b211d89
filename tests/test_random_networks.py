"""Twenty small networks drawn at random, compared with plain hooks and autograd (bench/random_networks.py)."""

from __future__ import annotations

import random
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers import networks

sys.path.append(str(Path(__file__).parents[1] / "bench"))

import random_check
import untouched
from by_hand import ByHand, PlainNorms
from random_case import draw_case
from random_check import Finding, check
from random_networks import described, text_of, worst
from untouched import Snapshot

SEEDS = range(20)
"""Chosen without looking at what comes of them."""
MOST_REFUSED = 2
"""Of so many draws some have no derivative to give, or no layout that can be known."""


@cache
def findings_of(seed: int) -> list[Finding]:
    """Return the findings of a draw; cached, as two tests use them."""
    return check(draw_case(seed))


@pytest.fixture(autouse=True)
def _without_beartype(monkeypatch):
    """The tests' run-time checks draw from Python's generator; bench/random_networks.py runs without them."""
    monkeypatch.delitem(untouched.PROCESS, "Python's random numbers")


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_network_is_explained_as_plain_autograd_does_or_refused(seed):
    findings = findings_of(seed)
    assert [finding for finding in findings if finding.verdict == "wrong"] == []
    assert len(findings) == 6


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
def test_few_random_networks_are_refused():
    assert len([seed for seed in SEEDS if worst(findings_of(seed)) == "refused"]) <= MOST_REFUSED


def test_a_seed_draws_the_same_case_again():
    first, second = draw_case(3), draw_case(3)
    assert first.choices == second.choices
    assert torch.equal(first.images, second.images)
    pairs = zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_drawing_leaves_the_generators_alone():
    before = torch.get_rng_state(), random.getstate()
    draw_case(0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_values_that_are_a_hundredth_off_are_wrong(monkeypatch):
    answer = random_check.ANSWERS["hirescam"]
    monkeypatch.setitem(random_check.ANSWERS, "hirescam", lambda *arguments: 1.01 * answer(*arguments))
    reasons = [finding.reason for finding in check(draw_case(9)) if finding.verdict == "wrong"]
    assert len(reasons) == 2  # alone and in a batch
    assert all(reason.startswith("off by ") for reason in reasons)


def test_an_error_that_is_not_the_librarys_is_wrong(monkeypatch):
    def fail(*_):
        raise RuntimeError("view size is not compatible\nand more")

    monkeypatch.setitem(random_check.ANSWERS, "coalitions", fail)
    wrong = [finding for finding in check(draw_case(9)) if finding.verdict == "wrong"]
    assert wrong == [Finding("coalitions", "wrong", "raised RuntimeError: view size is not compatible")]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda model: model[0].weight.data.add_(1), "0._parameters.weight"),
        (lambda model: model[1].running_mean.fill_(torch.nan), "1._buffers.running_mean"),
        (lambda model: setattr(model[0].bias, "grad", torch.ones(2)), "0._parameters.bias"),
        (lambda model: model[0].weight.requires_grad_(requires_grad=False), "0._parameters.weight"),
        (lambda model: model[1].eval(), "1.training"),
        (lambda model: model[0].register_forward_hook(print), "0._forward_hooks"),
        (lambda model: setattr(model[1], "forward", print), "1.forward"),
        (lambda model: model.add_module("2", nn.ReLU()), "._modules"),
        (lambda _: torch.rand(1), "torch's random numbers"),
    ],
)
def test_what_changes_is_noticed(change, name):
    model, images = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), torch.zeros(1, 2, 3, 3)
    snapshot = Snapshot(model, images)
    assert snapshot.changes() == []
    change(model)
    assert name in snapshot.changes()


def test_images_that_are_written_into_are_noticed():
    images = torch.zeros(1, 2, 3, 3)
    snapshot = Snapshot(nn.ReLU(), images)
    images[0, 0, 0, 0] = 1
    assert snapshot.changes() == ["the images"]


def test_by_hand_a_quadratic_score_has_its_pencil_derivatives():
    weight, matrix = torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.diag(torch.tensor([1.0, 2.0, 0.0, -1.0]))
    image, target = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([0])
    hand = ByHand(networks.quadratic(weight, matrix), "features", image, "logit")
    assert hand.activation.tolist() == image.tolist()
    assert hand.gradient(target).flatten().tolist() == [1 + 2, -2 + 8, 0.5, 3 - 8]  # w + 2 M a
    assert hand.hessian_vector(target, image).flatten().tolist() == [2, 8, 0, -8]  # 2 M a
    assert float(hand.utilities(torch.zeros_like(image), target)) == pytest.approx(0.7)  # the constant


def test_by_hand_a_norm_has_its_pencil_gradient_where_strides_are_transposed():
    """d/dx of Σ w·(x - m) / √(v + ε) is w / √(v + ε), also for one image whose gradient comes from tokens."""
    norm, image, weight = nn.BatchNorm2d(3).eval(), torch.randn(1, 3, 2, 2).requires_grad_(), torch.rand(1, 4, 3)
    with PlainNorms():
        score = (norm(image).flatten(2).transpose(1, 2) * weight).sum()
    (gradient,) = torch.autograd.grad(score, image)
    expected = weight.transpose(1, 2).reshape(1, 3, 2, 2) / (1 + norm.eps) ** 0.5
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_the_report_counts_a_draw_as_its_worst_and_groups_reasons():
    findings_by_seed = {
        7: [Finding("hirescam", "agreed"), Finding("coalitions", "refused", "LayerError: layer 'a.1' is 5 wide")],
        8: [Finding("hirescam", "refused", "LayerError: layer 'b' is 12 wide")],
        9: [Finding("hirescam", "agreed")],
    }
    assert [worst(findings) for findings in findings_by_seed.values()] == ["refused", "refused", "agreed"]
    text = text_of(findings_by_seed, 1.0)
    assert "3 networks by bench/random_networks.py, seeds 7 to 9." in text
    assert "| 1 | agreed |" in text
    assert "| 2 | refused |" in text
    assert "| 2 | LayerError: layer '...' is # wide | 7, 8 |" in text


def test_a_draw_can_be_described():
    text = described(1)
    assert "Network(" in text
    assert "layer: stages." in text
    assert "hirescam: " in text
