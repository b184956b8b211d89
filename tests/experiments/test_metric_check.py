"""Checks of metrics on a tiny network: against figures measured one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.small_evaluations import SIDE, Tiny
from shapleycam import Explainer
from shapleycam.errors import BlankHeatmapWarning, OptionError, ignore_warnings
from shapleycam.experiments import check_metrics
from shapleycam.experiments.metric_check import checkable_metrics, passes_of_check
from shapleycam.explaining.inputs import batch_of
from shapleycam.images import content_seeds
from shapleycam.metrics import MetricOptions, measure
from shapleycam.metrics.stability import randomise_layers

METHODS = ("gradcam", "layercam", "gradcam-e", "pathcam-h")


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def explainer():
    return Explainer(Tiny(), layer="features", utility="log_probability", device="cpu")


def test_separation_is_that_of_figures_measured_by_themselves(explainer, images):
    check = check_metrics(explainer, [batch_of(images, None, explainer.model)], ["average_drop"], METHODS)
    explanations = explainer.compare(images, [*METHODS, "randomcam"])
    drops = measure(explainer, images, explanations, "average_drop")["average_drop"]
    random = drops.pop("randomcam")
    shares = [((drop < random - 1e-6) + 0.5 * ((drop - random).abs() <= 1e-6)).double() for drop in drops.values()]
    assert check.metrics[0].separation.mean == pytest.approx(float(torch.stack(shares).mean()))
    assert check.methods == METHODS


def test_maps_of_random_weights_are_measured_by_the_model_itself(explainer, images):
    """Complexity needs the map alone: of random weights it is that of maps by re-initialised models."""
    options = MetricOptions(seed=3)
    batch = batch_of(images, None, explainer.model)
    [trust] = check_metrics(explainer, [batch], ["complexity"], METHODS, options=options).metrics
    target, shares = explainer.compare(images, METHODS)["gradcam"].target, []
    for index, seed in enumerate(content_seeds(batch.images, options.seed)):
        image, wanted = images[index : index + 1], target[index : index + 1]
        [model] = randomise_layers(explainer.model, 1, seed)
        with ignore_warnings(BlankHeatmapWarning):  # of random weights
            other = explainer.like(model).compare(image, METHODS, wanted)
        own = explainer.compare(image, METHODS, wanted)
        gains = [float(other[name].heatmap.mean() - own[name].heatmap.mean()) for name in METHODS]
        shares.append(np.mean([(gain > 1e-6) + 0.5 * (abs(gain) <= 1e-6) for gain in gains]))
    assert trust.reaction.mean == pytest.approx(np.mean(shares))


def test_batches_make_no_difference(explainer, images):
    whole, parts = (
        check_metrics(
            explainer, [batch_of(part, None, explainer.model) for part in images.split(size)], ["paper"], METHODS
        )
        for size in (3, 1)
    )
    for first, second in zip(whole.metrics, parts.metrics, strict=True):
        assert first.separation.mean == pytest.approx(second.separation.mean)
        assert first.reaction.mean == pytest.approx(second.reaction.mean)
        assert first.resilience.mean == pytest.approx(second.resilience.mean, nan_ok=True)


def test_without_noise_every_metric_keeps_its_order(explainer, images):
    options, batch = MetricOptions(sensitivity_radius=0.0), batch_of(images, None, explainer.model)
    [trust] = check_metrics(explainer, [batch], ["average_drop"], METHODS, options=options).metrics
    assert trust.resilience.mean == pytest.approx(1)


def test_the_model_is_left_as_it_was(explainer, images):
    before = {name: tensor.clone() for name, tensor in explainer.model.state_dict().items()}
    check_metrics(explainer, [batch_of(images[:1], None, explainer.model)], ["complexity"], METHODS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in explainer.model.state_dict().items())


def test_passes_are_counted_three_times():
    # x, x·M and x·(1 - M) of three methods and RandomCAM: 1 + 2·4, in each of three conditions.
    assert passes_of_check(["paper"], ["gradcam", "layercam", "hirescam"], players=64) == 3 * 9


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("max_sensitivity", "metric 'max_sensitivity' needs explanations of other images than the given ones"),
        ("pointing_game", "metric 'pointing_game' needs to know where objects are"),
        ("randomisation_ssim", "metric 'randomisation_ssim' needs explanations of other models than the given one"),
    ],
)
def test_metrics_that_cannot_be_checked(metric, message):
    with pytest.raises(OptionError, match=message):
        checkable_metrics([metric])
    assert metric not in checkable_metrics(["all"])


def test_refuses_what_has_no_order(explainer, images):
    with pytest.raises(OptionError, match=r"2 methods were given .*\(gradcam, layercam\); expected at least 3"):
        check_metrics(explainer, [], ["paper"], ["gradcam", "layercam", "randomcam"])
    with pytest.raises(OptionError, match="no images were given"):
        check_metrics(explainer, [], ["paper"], METHODS)


def test_sets_are_those_of_evaluations(explainer, images):
    """Of 64 players none are enumerated."""
    check = check_metrics(explainer, [batch_of(images[:1], None, explainer.model)], ["complexity"], ["all"])
    assert {"sampledshapley", "fem"} <= set(check.methods)
    assert not {"exactshapley", "randomcam"} & set(check.methods)
