"""Derivatives that vanish at the activation: values made of them are next to nothing beside what there is to divide."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn

from helpers.recorded_inputs import inputs_of
from shapleycam import Explainer
from shapleycam.errors import ReplayError, SaturatedDerivativeWarning, ignore_warnings

ONES, TENTHS = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1)
pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.NoCurvatureWarning"),
    pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning"),
]


class Saturating(nn.Module):
    """Returns tanh(s ΣA) of the image A = x itself, as the only number."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = nn.Conv2d(1, 1, 1, bias=False), scale
        nn.init.ones_(self.layer.weight)

    def forward(self, images):
        return torch.tanh(self.scale * self.layer(images).sum((1, 2, 3)))[:, None]


def warnings_of(explainer, images, methods, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        comparison = explainer.compare(images, methods, **options)
    return comparison, [str(each.message) for each in caught if each.category is SaturatedDerivativeWarning]


@pytest.mark.parametrize("method", ["hirescam", "gradcam", "gradcam-e", "shapleycam", "shapleycam-h", "shapleycam-e"])
def test_values_next_to_nothing_are_said(method):
    """ΣA = 4 and s = 1: v(N) = tanh(4) = 0.9993; first order divides 4 (1 - tanh²(4)) = 0.0054, second 0.0268."""
    explainer = Explainer(Saturating(1.0), layer="layer", utility="value", layout="NCHW")
    comparison, messages = warnings_of(explainer, ONES, [method])
    first = 4 * (1 - math.tanh(4) ** 2)
    second = first + 0.5 * 16 * 2 * math.tanh(4) * (1 - math.tanh(4) ** 2)
    expected = second if method.startswith("shapley") else first
    assert float(comparison[method].values.sum()) == pytest.approx(expected, rel=1e-3)
    assert len(messages) == 1
    assert messages[0].startswith(f"the values of {method} sum to less than 5% of what there is to divide (image 0 of ")


def test_the_images_are_named_and_the_methods():
    explainer = Explainer(Saturating(1.0), layer="layer", utility="value", layout="NCHW")
    images = torch.cat([TENTHS, ONES, ONES])
    _, messages = warnings_of(explainer, images, ["hirescam", "pathcam-h", "layercam"])
    assert len(messages) == 1
    assert "the values of hirescam sum" in messages[0]
    assert "(image 1, 2 of the batch)" in messages[0]


@pytest.mark.parametrize(("scale", "images"), [(1.0, TENTHS), (-1.0, TENTHS), (1e-3, ONES), (0.0, ONES)], ids=str)
def test_nothing_is_said_of_others(scale, images):
    """Not of values that are small since there is little, or nothing, to divide."""
    explainer = Explainer(Saturating(scale), layer="layer", utility="value", layout="NCHW")
    assert warnings_of(explainer, images, ["hirescam", "gradcam-e"])[1] == []


class Classes(nn.Module):
    """Returns the logits (s ΣA + b, 0)."""

    def __init__(self, scale: float, bias: float = 0.0) -> None:
        super().__init__()
        self.layer, self.scale, self.bias = nn.Conv2d(1, 1, 1, bias=False), scale, bias
        nn.init.ones_(self.layer.weight)

    def forward(self, images):
        score = self.scale * self.layer(images).sum((1, 2, 3)) + self.bias
        return torch.stack([score, torch.zeros_like(score)], 1)


@pytest.mark.parametrize(
    ("utility", "target", "is_said"),
    [
        ("probability", 0, True),  # v(N) = 1 - 1/2, the derivative e^-8
        ("probability", 1, True),  # as many against it
        ("log_probability", 0, True),  # v(N) = log 2, and the utility itself next to nothing
        ("log_probability", 1, False),
        ("rest", 0, False),
        ("logit", 0, False),
        ("log_odds", 0, False),
    ],
)
def test_utilities(utility, target, is_said):
    explainer = Explainer(Classes(2.0), layer="layer", utility=utility, layout="NCHW")
    assert bool(warnings_of(explainer, ONES, ["hirescam"], target=target)[1]) == is_said


@pytest.mark.parametrize("reverse", [False, True])
def test_each_photograph_is_judged_for_itself(reverse):
    """0.001 ΣA + 6 has a probability of nearly 1 and next to nothing to divide; (ΣA)² / 2 has what it divides."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1, bias=False)
            nn.init.ones_(self.layer.weight)

        def forward(self, images):
            total = self.layer(images).sum((1, 2, 3))
            score = torch.where(images[:, 0, 0, 1] > 0.5, total * total / 2, total * 1e-3 + 6)
            return torch.stack([score, torch.zeros_like(score)], 1)

    little, saturated = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]), ONES
    explainer = Explainer(Head(), layer="layer", utility="probability", layout="NCHW")
    order = [(saturated, 1), (little, 0)] if reverse else [(little, 0), (saturated, 1)]
    for images, expected in order:
        assert len(warnings_of(explainer, images, ["hirescam"], target=0)[1]) == expected


@pytest.mark.parametrize(("scale", "bias"), [(2.0, 0.0), (1e-3, 4.0)], ids=["saturated", "little to divide"])
def test_the_head_is_run_again_for_it_alone(scale, bias):
    """For a utility that moves, as a log probability against the class, nothing is."""
    model = Classes(scale, bias)
    explainer = Explainer(model, layer="layer", utility="probability", layout="NCHW")
    with inputs_of(model) as inputs:
        explainer.explain(ONES, "layercam", target=0)  # checks that are made once
        explainer.explain(ONES, "layercam", target=0, utility="log_probability")
        inputs.clear()
        warnings_of(explainer, ONES, ["hirescam"], target=0)
        assert len(inputs) > 1
        inputs.clear()
        warnings_of(explainer, ONES, ["hirescam"], target=1, utility="log_probability")
        assert len(inputs) == 1


def test_nothing_is_run_for_warnings_that_are_not_issued():
    """Metrics explain many times, without warnings."""
    model = Classes(2.0)
    explainer = Explainer(model, layer="layer", utility="probability", layout="NCHW")
    with inputs_of(model) as inputs, ignore_warnings():
        explainer.explain(ONES, "layercam", target=0)  # checks that are made once
        inputs.clear()
        explainer.explain(ONES, "hirescam", target=0)
        assert len(inputs) == 1


def test_a_head_that_cannot_run_again_is_explained_as_before(monkeypatch):
    explainer = Explainer(Saturating(1.0), layer="layer", utility="value", layout="NCHW")
    explainer.explain(TENTHS, "hirescam")

    def refuse(*_):
        raise ReplayError("what comes after it draws at random")

    monkeypatch.setattr("shapleycam.explaining.traced_batch.TracedBatch._recorded", refuse)
    assert warnings_of(explainer, ONES, ["hirescam"])[1] == []
