"""How many forward passes metrics cost, counted where the model runs."""

from __future__ import annotations

import pytest
import torch

from helpers.metric_networks import boxes, random_images, small
from helpers.recorded_inputs import inputs_of
from shapleycam import Explainer
from shapleycam.metrics import METRICS, MetricOptions, measure
from shapleycam.metrics.metric_passes import passes_of_metric
from shapleycam.metrics.quantities import QUANTITIES
from shapleycam.metrics.table import required_quantities
from shapleycam.models import zoo

# The maps of noise may well be blank: RandomCAM's are where its weights, which the last bit of the input decides, are
# against all that is active.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")

SIX = [name for name, metric in METRICS.items() if metric.in_paper]
BATCH = 4


def count_distinct_maps(explanations) -> int:
    """Count the different maps of the methods; maps that differ by rounding are one map."""
    actual: list[torch.Tensor] = []
    for explanation in explanations.values():
        if not any(torch.allclose(explanation.heatmap, heatmap, atol=1e-5, rtol=0) for heatmap in actual):
            actual.append(explanation.heatmap)
    return len(actual)


# The published protocol, on the default model before pooling


@pytest.fixture(scope="module")
def at_bn2():
    return Explainer(zoo.load_network(zoo.DEFAULT).model, layer="bn2", device="cpu")


@pytest.fixture(scope="module")
def batch():
    noise = torch.randn(BATCH, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=(224, 224), mode="bilinear")


@pytest.fixture(scope="module")
def ten(at_bn2, batch):
    """Ten methods' explanations, the passes that they took, and how many maps differ."""
    at_bn2.compare(batch[:1], ["paper"])  # the first use of a layer plans how to run its head
    with inputs_of(at_bn2.model) as inputs:
        at_bn2.compare(batch, ["paper"])  # the first batch of a size is checked in further passes
        inputs.clear()
        explanations = at_bn2.compare(batch, ["paper"])
    return explanations, list(map(len, inputs)), count_distinct_maps(explanations)


def passes_of(explainer, images, explanations, metrics, *more):
    with inputs_of(explainer.model) as inputs:
        explainer.compare(images, ["gradcam"])  # what counts is another class: the model is learned anew
        inputs.clear()
        values = measure(explainer, images, explanations, metrics, *more)
    assert all(len(of_images) == len(images) for by_method in values.values() for of_images in by_method.values())
    return list(map(len, inputs))


def test_ten_methods_are_explained_in_one_pass(ten):
    explanations, passes, maps = ten
    assert len(explanations) == 10
    assert passes == [BATCH]
    assert 4 <= maps <= 8  # gradcam, hirescam and xgradcam at the least are one


def test_six_metrics_of_ten_methods(at_bn2, batch, ten):
    """At most 1 + 2 x distinct maps, the explanations included."""
    explanations, passes, maps = ten
    assert passes + passes_of(at_bn2, batch, explanations, SIX) == [BATCH] * (1 + 2 * maps)


def test_the_six_are_what_is_measured_unless_asked_otherwise(at_bn2, batch, ten):
    explanations, _, maps = ten
    two = {name: explanations[name] for name in ("gradcam", "xgradcam")}
    assert list(measure(at_bn2, batch, two)) == SIX
    assert passes_of(at_bn2, batch, two, ["paper"]) == [BATCH] * 2
    assert maps > 1


def test_scores_alone_are_one_pass_a_map(at_bn2, batch, ten):
    explanations, _, maps = ten
    requested = ["average_drop", "increase_in_confidence"]
    assert passes_of(at_bn2, batch, explanations, requested) == [BATCH] * maps


def test_complexity_alone_is_none(at_bn2, batch, ten):
    assert passes_of(at_bn2, batch, ten[0], ["complexity"]) == []


@pytest.mark.parametrize("together", [["gradcam", "hirescam", "xgradcam"], ["layercam", "gradcam-e"]])
def test_methods_with_one_map_share_their_passes(at_bn2, batch, ten, together):
    chosen = {name: ten[0][name] for name in together}
    assert count_distinct_maps(chosen) == 1
    assert passes_of(at_bn2, batch, chosen, SIX) == [BATCH] * 2


def test_methods_whose_maps_differ_for_one_image_do_not_share(at_bn2, batch, ten):
    chosen = {name: ten[0][name] for name in ("gradcam", "randomcam")}
    assert passes_of(at_bn2, batch, chosen, ["average_drop"]) == [BATCH] * 2


# What each metric needs by its definition


OPTIONS = MetricOptions(
    steps=7,
    percentiles=(20, 50, 80),
    sensitivity_draws=4,
    randomised_stages=3,
    smooth_draws=2,
    saco_groups=3,
    deletion_grid=2,
)
IMAGES = 3
CURVE, ROAD = OPTIONS.steps + 1, 2 * len(OPTIONS.percentiles)
NEEDED = {
    "average_drop": 1,  # x·M; the score of x came with its explanation
    "coherency": 1,  # x·M
    "complexity": 0,
    "adcc": 1,  # x·M, for both
    "increase_in_confidence": 1,
    "average_drop_in_deletion": 1,  # x·(1 - M)
    "insertion": CURVE,
    "deletion": CURVE,
    "road": ROAD,
    "arcc": 1 + ROAD,
    "srg": 2 * CURVE,
    "srg_blur": 2 * CURVE,
    "qge_insertion": 2 * CURVE,
    "deletion_correlation": CURVE,
    "insertion_correlation": CURVE,
    "saco": OPTIONS.saco_groups,
    "single_deletion": OPTIONS.deletion_grid**2,
    "infidelity": OPTIONS.deletion_grid**2,
    "gini": 0,
    "sparsity": 0,
    "effective_complexity": 0,
    "relevance_rank": 0,
    "relevance_mass": 0,
    "best_box_iou": 0,
    "best_any_box_iou": 0,
    "pointing_game": 0,
    "energy_pointing": 0,
    "max_sensitivity": OPTIONS.sensitivity_draws,
    "randomisation_spearman": IMAGES * OPTIONS.randomised_stages,  # each image has models of its own
    "randomisation_ssim": IMAGES * OPTIONS.randomised_stages,
    "smooth_randomisation_spearman": OPTIONS.smooth_draws * (1 + IMAGES * OPTIONS.randomised_stages),
    "randomisation_entropy": IMAGES * OPTIONS.randomised_stages,
    "shapley_error": 1,  # the game's; its coalitions run the head alone
    "shapley_spearman": 1,
    "efficiency_gap": 1,
}


@pytest.fixture(scope="module")
def of_small():
    explainer, images = Explainer(small(), layer="4"), random_images(IMAGES)
    explainer.game(images[:1])
    explanations = explainer.compare(images, ["gradcam", "hirescam"])
    for module in (explainer.model, explainer.model[0]):  # what is checked once, of the code that is watched
        with inputs_of(module):
            measure(explainer, images, explanations, ["all"], OPTIONS, boxes(IMAGES))
    return explainer, images, explanations


def runs_of(explainer, images, explanations, metrics):
    """Count the runs of the first layer; a replay of the head does not run it."""
    with inputs_of(explainer.model[0]) as inputs:
        measure(explainer, images, explanations, metrics, OPTIONS, boxes(IMAGES))
    return len(inputs)


def test_every_metric_has_its_number():
    assert NEEDED.keys() == METRICS.keys()


GAME = {"shapley_error", "shapley_spearman", "efficiency_gap"}
"""Of which the table says nothing: the pass that makes a game is the explanation's own in an evaluation."""


@pytest.mark.parametrize("name", sorted(METRICS.keys() - GAME))
def test_the_passes_that_are_listed_are_those_that_are_made(name):
    listed = passes_of_metric(name, OPTIONS)
    of_random_models = required_quantities([name]) & {"randomised", "smoothed_randomised"}
    of_each_image = sum(QUANTITIES[quantity].passes(OPTIONS) for quantity in of_random_models)
    assert listed.each_map + listed.together == NEEDED[name] - (IMAGES - 1) * of_each_image


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_alone_costs_what_it_needs(of_small, name):
    assert runs_of(*of_small, [name]) <= NEEDED[name]  # of two methods with one map


def test_a_metric_that_needs_passes_makes_them(of_small):
    """A check of the counter: each of these metrics needs forward passes."""
    for name, number in NEEDED.items():
        assert (runs_of(*of_small, [name]) > 0) == (number > 0), name


def test_all_metrics_share_what_they_ask(of_small):
    separately = sum(NEEDED.values())
    shared = {"average_drop", "adcc", "increase_in_confidence", "shapley_spearman", "efficiency_gap"}
    shared |= {"deletion_correlation", "insertion_correlation", "infidelity", "insertion", "deletion"}
    saved = (
        sum(NEEDED[name] for name in (*shared, "road", "randomisation_ssim", "randomisation_entropy")) + 1
    )  # and arcc's own x·M
    assert runs_of(*of_small, ["all"]) <= separately - saved


def test_every_pass_has_the_whole_batch(of_small):
    explainer, images, explanations = of_small
    names = [name for name in METRICS if not name.startswith(("randomisation", "smooth_", "shapley", "efficiency"))]
    assert set(passes_of(explainer, images, explanations, names, OPTIONS, boxes(IMAGES))) == {IMAGES}
