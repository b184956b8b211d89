"""Maps and images that say nothing: metrics of what there is not are no numbers, and ties favour no place."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import nan
from statistics import mean

import pytest
import torch

from helpers.metric_networks import QUICK, random_images, replace_heatmap, small
from shapleycam import Explainer
from shapleycam.errors import OptionError
from shapleycam.metrics import MetricOptions, measure
from shapleycam.metrics.maps import relevance_rank
from shapleycam.metrics.stability import entropy_rise, max_sensitivity, randomisation_ssim
from shapleycam.metrics.table import METRICS

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")  # of these maps
OF_LOSSES = ["saco", "single_deletion", "infidelity", "deletion_correlation", "insertion_correlation"]


def measure_all(names, images, model=None, heatmap=None, options=QUICK):
    explainer = Explainer(model or small(), layer="4")
    explanation = explainer.explain(images, "hirescam", target=0)
    if heatmap is not None:
        explanation = replace_heatmap(explanation, heatmap)
    return {
        name: measured["hirescam"]
        for name, measured in measure(explainer, images, {"hirescam": explanation}, names, options).items()
    }


@pytest.mark.parametrize("groups", [5, 7, 10])
def test_groups_of_an_even_map_have_the_same_heat_whatever_their_sizes(groups):
    """576 pixels are no multiple of 5, 7 and 10: sums of heat would differ by a pixel's."""
    images = random_images(3)
    even = torch.full((3, 24, 24), 0.3)
    saco = measure_all(["saco"], images, heatmap=even, options=MetricOptions(saco_groups=groups))["saco"]
    assert bool(saco.isnan().all())


@pytest.mark.parametrize("name", OF_LOSSES)
def test_a_score_that_loses_nothing_says_nothing_of_a_map(name):
    """The class has probability 1 in float32, whatever is removed, less a rounding or two."""
    model = small()
    model[7].weight.data /= 1e4
    model[7].bias.data = torch.tensor([15.5, 0, 0, 0, 0])
    values = measure_all([name], random_images(3), model)[name]
    assert bool(values.isnan().all())


@pytest.mark.parametrize("name", ["saco", "insertion_correlation"])
def test_an_image_of_one_colour_loses_nothing_to_its_mean_or_its_blur(name):
    images = torch.tensor([0.37, -0.2, 0.11])[:, None, None, None].expand(3, 3, 24, 24).contiguous()
    heat = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert bool(measure_all([name], images, heatmap=heat)[name].isnan().all())


def test_real_losses_of_a_small_probability_count():
    model = small()
    model[7].bias.data = torch.tensor([-25.0, 0, 0, 0, 0])
    heat = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))
    values = measure_all(OF_LOSSES, random_images(3), model, heat)
    assert all(bool(each.isfinite().all()) for each in values.values())


def test_equally_strong_pixels_count_by_the_mean_over_all_choices():
    """Two of three pixels of heat 1/2 are chosen beside the one of heat 1; the object has three pixels."""
    heat = [0.5, 0.0, 1.0, 0.5, 0.0, 0.5]
    for on_object in combinations(range(6), 3):
        expected = mean(len({2, *chosen} & set(on_object)) / 3 for chosen in combinations([0, 3, 5], 2))
        objects = torch.zeros(6, dtype=torch.bool)
        objects[list(on_object)] = True
        actual = relevance_rank(torch.tensor(heat).reshape(1, 2, 3), objects.reshape(1, 2, 3))
        assert actual.tolist() == pytest.approx([expected])


def test_a_blank_map_ranks_an_object_by_chance_wherever_it_lies():
    objects = torch.zeros(2, 8, 8, dtype=torch.bool)
    objects[0, :2], objects[1, -2:] = True, True
    assert relevance_rank(torch.zeros(2, 8, 8), objects).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("name", ["gini", "sparsity", "effective_complexity"])
def test_a_blank_map_is_not_the_simplest_of_all(name):
    """One pixel of nine has heat in the second map: by hand its Gini index is 8/9, and max / mean 9."""
    heatmap = torch.zeros(2, 3, 3)
    heatmap[1, 1, 1] = 0.5
    by_hand = {"gini": 8 / 9, "sparsity": 9, "effective_complexity": 1 / 9}[name]
    assert METRICS[name].function(heatmap).tolist() == pytest.approx([nan, by_hand], nan_ok=True)


def test_no_object_has_no_rank():
    assert bool(relevance_rank(torch.rand(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)).isnan())


def test_values_of_zero_have_no_sensitivity():
    disturbed = torch.ones(2, 2, 3, 3)
    values = torch.stack([torch.zeros(3, 3), torch.ones(3, 3)])
    assert max_sensitivity(values, disturbed).tolist() == pytest.approx([nan, 0], nan_ok=True)


def test_constant_values_are_like_no_map():
    values = torch.stack([torch.full((3, 3), 2.0), torch.arange(9.0).reshape(3, 3)])
    similarity = randomisation_ssim(values, values[None], torch.zeros(2, 24, 24))
    assert similarity.tolist() == pytest.approx([nan, 1], nan_ok=True)


@pytest.mark.filterwarnings("ignore::shapleycam.errors.NothingToDivideWarning")  # the case in point
def test_nothing_to_divide_has_no_gap():
    """A mean over places is the same where each place has the mean of all: what is left of v(N) is rounding."""
    images = 1 + random_images(8)
    gaps = {}
    for removal in ("mean", "zero"):
        explainer = Explainer(small(), layer="4", removal=removal)
        explanations = explainer.compare(images, ["hirescam", "leaveoneout"])
        gaps[removal] = measure(explainer, images, explanations, ["efficiency_gap"])["efficiency_gap"]
    assert all(bool(each.isnan().all()) for each in gaps["mean"].values())
    assert all(bool(each.isfinite().all()) for each in gaps["zero"].values())


def test_constant_values_have_no_histogram():
    values = torch.stack([torch.full((3, 3), 2.0), torch.arange(9.0).reshape(3, 3), torch.arange(9.0).reshape(3, 3)])
    of_random = torch.stack([torch.arange(9.0).reshape(3, 3), torch.zeros(3, 3), torch.arange(9.0).reshape(3, 3)])
    rise = entropy_rise(values, of_random[None], torch.zeros(3, 24, 24))
    assert rise.tolist() == pytest.approx([nan, nan, 0], nan_ok=True)


def test_likeness_does_not_depend_on_the_unit_of_a_random_models_values():
    values = torch.arange(12.0).reshape(1, 3, 4)
    stages = torch.stack([values, 1e-11 * values])
    assert float(randomisation_ssim(values, stages, torch.zeros(1, 24, 24))) == pytest.approx(1)


@pytest.mark.parametrize("wrong", [nan, -0.1, 1.5])
def test_heat_that_is_none_is_refused(wrong):
    heatmap = torch.rand(3, 24, 24)
    heatmap[1, 4, 5] = wrong
    with pytest.raises(OptionError, match=r"the heatmap of hirescam for image 1 holds .*expected heat from 0 to 1"):
        measure_all(["complexity"], random_images(3), heatmap=heatmap)


def test_values_that_are_none_are_refused():
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanation = explainer.explain(images, "hirescam")
    values = explanation.values.clone()
    values[1, 0, 0] = nan
    with pytest.raises(OptionError, match=r"image 1 .* or its values are not finite"):
        measure(explainer, images, {"hirescam": replace(explanation, values=values)}, ["single_deletion"])
