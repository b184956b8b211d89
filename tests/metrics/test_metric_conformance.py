"""The paper's own code computed the reference metrics of nine methods: they are reproduced."""

from __future__ import annotations

import csv

import pytest
import torch

from shapleycam import METHODS, Explainer, Preprocess
from shapleycam.metrics import METRICS, measure
from shapleycam.models import zoo

PAPER = [name for name, metric in METRICS.items() if metric.in_paper]
NINE = [name for name, method in METHODS.items() if method.in_paper and name != "randomcam"]
MEANS = [name for name in PAPER if name not in {"adcc", "increase_in_confidence"}]
NEAR = 5e-4


@pytest.fixture(scope="module")
def reference(data):
    with (data / "reference/metrics.csv").open() as file:
        return {
            row.pop("method"): {name: float(value) for name, value in row.items()} for row in list(csv.DictReader(file))
        }


@pytest.fixture(scope="module")
def actual(data):
    """By metric and method one number a photograph, and the scores that the masked photographs differ by."""
    half = (0.5, 0.5, 0.5)
    preprocess = Preprocess(256, (224, 224), half, half)
    explainer = Explainer(zoo.load_network(zoo.DEFAULT).model, layer="bn2", preprocess=preprocess, device="cpu")
    names = (data / "reference/metrics_images.txt").read_text().split()
    photos = [data / "imagenet-sample" / name for name in names]
    batches = [photos[:16], photos[16:]]
    parts = []
    for batch in batches:
        explanations = explainer.compare(batch, NINE)
        parts.append((measure(explainer, batch, explanations), explanations))
    together = {
        name: {method: torch.cat([part[name][method] for part, _ in parts]).double() for method in NINE}
        for name in PAPER
    }
    scores = torch.cat([e["gradcam"].output.softmax(1).amax(1) for _, e in parts]).double()
    return together, scores


def test_the_reference_has_these(reference, actual):
    assert set(reference) == set(NINE)
    assert all(len(values) == 32 for by_method in actual[0].values() for values in by_method.values())


@pytest.mark.parametrize("method", NINE)
@pytest.mark.parametrize("name", MEANS)
def test_mean_over_the_photographs(reference, actual, name, method):
    assert float(actual[0][name][method].mean()) == pytest.approx(reference[method][name], abs=NEAR)


@pytest.mark.parametrize("method", NINE)
def test_increase_in_confidence(reference, actual, method):
    """A photograph whose score hardly changes may count either way: so many are allowed for."""
    metrics, scores = actual
    drops, rises = metrics["average_drop"][method] * scores, metrics["increase_in_confidence"][method]
    fell_hardly, could_rise_hardly = (drops < 1e-5) & (rises == 0), (rises == 1) & (scores > 1 - 1e-5)
    flips = int((fell_hardly | could_rise_hardly).sum())
    assert abs(float(rises.sum()) - 32 * reference[method]["increase_in_confidence"]) <= flips + 1e-3


@pytest.mark.parametrize("method", NINE)
def test_adcc_of_means(reference, actual, method):
    coherency, complexity, drop = (
        actual[0][name][method].mean() for name in ("coherency", "complexity", "average_drop")
    )
    whole = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))
    assert float(whole) == pytest.approx(reference[method]["adcc_of_means"], abs=NEAR)


@pytest.mark.parametrize("method", NINE)
def test_mean_of_adcc(reference, actual, method):
    assert float(actual[0]["adcc"][method].mean()) == pytest.approx(reference[method]["mean_of_adcc"], abs=NEAR)


def test_methods_that_agree_there_agree_here(actual):
    """Before pooling, GradCAM, HiResCAM and XGradCAM are one map."""
    for by_method in actual[0].values():
        torch.testing.assert_close(by_method["hirescam"], by_method["gradcam"], atol=1e-5, rtol=0)
        torch.testing.assert_close(by_method["xgradcam"], by_method["gradcam"], atol=1e-5, rtol=0)
