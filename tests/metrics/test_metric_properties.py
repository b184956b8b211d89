"""Properties of metrics that hold for every network and map."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.metric_networks import QUICK, boxes, random_images, replace_heatmap, small
from helpers.planted_networks import STRIDE, Plan, Planted, image_of
from helpers.table_rows import OF_EVERY_MODEL
from shapleycam import METHODS, Explainer
from shapleycam.metrics import METRICS, MetricOptions, measure

FEW = settings(max_examples=8, deadline=None, derandomize=True)
MANY = settings(max_examples=100, deadline=None, derandomize=True)


# A planted patch decides the class: the right map is known


@pytest.fixture(scope="module", params=[(1, 2), (4, 0), (2, 5)], ids=str)
def planted(request):
    """By the name of a map, each of METRICS that says whether it is right, at one place of the patch."""
    plan, (row, column) = Plan("NCHW", (6, 6)), request.param
    image = image_of(plan, (row, column))
    patch = torch.zeros(1, *plan.image, dtype=torch.bool)
    patch[0, row * STRIDE : (row + 1) * STRIDE, column * STRIDE : (column + 1) * STRIDE] = True
    explainer = Explainer(Planted(plan), layer="cells", utility="logit", layout="NCHW")
    explanation = explainer.explain(image, "hirescam", target=0)
    maps = {
        "perfect": patch.float(),
        "constant": torch.zeros_like(patch, dtype=torch.float32),  # as scaling makes them
        "inverted": 1 - patch.float(),
    }
    names = [
        "insertion", "deletion", "road", "average_drop", "average_drop_in_deletion", "pointing_game", "energy_pointing",
        "srg", "srg_blur", "qge_insertion", "relevance_rank", "best_box_iou", "best_any_box_iou",
    ]  # fmt: skip
    options = MetricOptions(pointing_tolerance=0)
    return {
        kind: {
            name: float(by_method["hirescam"])
            for name, by_method in measure(
                explainer, image, {"hirescam": replace_heatmap(explanation, heat)}, names, options, patch
            ).items()
        }
        for kind, heat in maps.items()
    }


@pytest.mark.parametrize("worse_map", ["constant", "inverted"])
@pytest.mark.parametrize(
    "name",
    [
        *("insertion", "deletion", "road", "average_drop", "average_drop_in_deletion", "pointing_game"),
        *("srg", "srg_blur", "qge_insertion", "relevance_rank", "best_box_iou", "best_any_box_iou"),
    ],
)
def test_a_perfect_map_is_better(planted, name, worse_map):
    sign = 1 if METRICS[name].better == "high" else -1
    assert sign * planted["perfect"][name] > sign * planted[worse_map][name] + 0.02


def test_a_perfect_map_has_all_its_energy_inside(planted):
    assert planted["perfect"]["energy_pointing"] == pytest.approx(1)
    assert planted["inverted"]["energy_pointing"] == 0
    assert planted["constant"]["energy_pointing"] != planted["constant"]["energy_pointing"]  # of nothing, NaN


def test_a_perfect_map_drops_nothing_and_its_deletion_nearly_all(planted):
    # Bright patch 1, ground below 0.01: σ(1 + 0.1) = 0.75 with it, 0.5 of nothing, which is a drop of a third.
    assert planted["perfect"]["average_drop"] < 0.05
    assert planted["perfect"]["average_drop_in_deletion"] == pytest.approx(1 / 3, abs=0.06)


def test_directions_are_those_of_the_table():
    """Which way is better, by the sources of the metrics."""
    low = {
        "average_drop", "complexity", "deletion", "max_sensitivity", "randomisation_spearman", "randomisation_ssim",
        "smooth_randomisation_spearman",
        "shapley_error", "efficiency_gap", "infidelity", "effective_complexity",
    }  # fmt: skip
    assert {name for name, metric in METRICS.items() if metric.better == "low"} == low
    paper = {
        "average_drop", "coherency", "complexity", "adcc", "increase_in_confidence", "average_drop_in_deletion",
    }  # fmt: skip
    assert {name for name, metric in METRICS.items() if metric.in_paper} == paper


# Maps that are made


EXPLAINER, IMAGES = Explainer(small(), layer="4"), random_images(2)
EXPLANATION = EXPLAINER.explain(IMAGES, "gradcam")
BY_RANK = ["insertion", "deletion", "road", "pointing_game"]


def measure_heatmap(heat: Tensor, names, options=QUICK):
    actual = measure(EXPLAINER, IMAGES, {"gradcam": replace_heatmap(EXPLANATION, heat)}, names, options, boxes(2))
    return {name: by_method["gradcam"] for name, by_method in actual.items()}


def shuffled_map(seed: int) -> Tensor:
    """A map (24, 24) of which no two pixels are equal, within [0, 1]."""
    return torch.randperm(576, generator=torch.Generator().manual_seed(seed)).view(24, 24) / 575


def map_of_levels(seed: int, number: int) -> Tensor:
    """A map (24, 24) of few levels, so that most pixels tie."""
    return torch.randint(number + 1, (24, 24), generator=torch.Generator().manual_seed(seed)) / number


@FEW
@given(st.integers(0, 2**20), st.integers(1, 16), st.sampled_from([0.5, 2.0, 3.0]), st.booleans())
@pytest.mark.slow
def test_metrics_of_ranks_do_not_see_scale(seed, number, power, distinct):
    heat = shuffled_map(seed) if distinct else map_of_levels(seed, number)
    actual, expected = measure_heatmap(0.1 + 0.7 * heat.double() ** power, BY_RANK), measure_heatmap(heat, BY_RANK)
    for name in BY_RANK:
        assert torch.equal(actual[name], expected[name])


@FEW
@given(st.floats(0, 1, width=32))
def test_road_of_a_constant_map_is_zero(level):
    assert measure_heatmap(torch.full((24, 24), level), ["road"])["road"].tolist() == [0, 0]


@FEW
@given(st.integers(0, 2**20))
@pytest.mark.slow
def test_road_of_the_inverted_map_is_the_negative(seed):
    heat = shuffled_map(seed)
    actual = measure_heatmap(heat, ["road"])["road"]
    assert torch.equal(measure_heatmap(1 - heat, ["road"])["road"], -actual)
    assert (actual != 0).all()


FOUR = st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4)


@MANY
@given(FOUR, FOUR)
def test_complexity_is_monotone_and_within_its_bounds(first_map, second_map):
    low, high = torch.tensor([[first_map, second_map]]).aminmax(dim=1)
    complexity = METRICS["complexity"].function
    of_low, of_high = (float(complexity(maps.view(1, 2, 2))) for maps in (low, high))
    assert 0 <= of_low <= of_high <= 1


SHARE = st.floats(0, 1)


@MANY
@given(SHARE, SHARE, SHARE)
def test_adcc_lies_between_its_parts(coherency, complexity, drop):
    arguments = [torch.tensor([part], dtype=torch.float64) for part in (coherency, complexity, drop)]
    actual = float(METRICS["adcc"].function(*arguments))
    parts = (coherency, 1 - complexity, 1 - drop)
    assert min(parts) - 1e-9 <= actual <= max(parts) + 1e-9
    assert 0 <= actual <= 1 + 1e-9
    if min(parts) > 0:
        assert actual == pytest.approx(3 / sum(1 / part for part in parts), rel=1e-9)


@MANY
@given(SHARE, SHARE, st.floats(-0.5, 0.5))
def test_arcc_lies_between_its_parts(coherency, complexity, road):
    arguments = [torch.tensor([part], dtype=torch.float64) for part in (coherency, complexity, road)]
    actual = float(METRICS["arcc"].function(*arguments))
    parts = (coherency, 1 - complexity, min(max(2 * road, 0), 1))
    assert min(parts) - 1e-9 <= actual <= max(parts) + 1e-9


@MANY
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_drops_are_shares(score, kept_share, removed_share):
    full_score = torch.tensor([score])
    drop = METRICS["average_drop"].function(full_score, torch.tensor([kept_share]))
    rise = METRICS["increase_in_confidence"].function(full_score, torch.tensor([kept_share]))
    if full_score == 0:
        assert drop.isnan()
    else:
        assert 0 <= drop <= 1
        assert not (rise == 1 and drop > 0)
        assert 0 <= METRICS["average_drop_in_deletion"].function(full_score, torch.tensor([removed_share])) <= 1


def test_curves_of_scores_lie_within_them():
    actual = measure_heatmap(shuffled_map(0), ["insertion", "deletion", "road"])
    assert ((actual["insertion"] >= 0) & (actual["insertion"] <= 1)).all()
    assert ((actual["deletion"] >= 0) & (actual["deletion"] <= 1)).all()
    assert (actual["road"].abs() <= 0.5).all()


@FEW
@given(st.integers(0, 2**20))
def test_coherency_of_a_map_with_itself_is_one_and_with_its_inverse_zero(seed):
    heat = shuffled_map(seed)[None]
    coherency = METRICS["coherency"].function
    assert float(coherency(heat, 0.3 + 0.5 * heat)) == pytest.approx(1, abs=1e-5)
    assert float(coherency(heat, 1 - heat)) == pytest.approx(0, abs=1e-5)


# Against the game's own values


@pytest.fixture(scope="module")
def fidelity():
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    methods = [name for name in OF_EVERY_MODEL if name != "exactshapley"]
    explanations = explainer.compare(images, methods)
    names = ["shapley_error", "shapley_spearman", "efficiency_gap"]
    return measure(explainer, images, explanations, names)


def test_sampled_values_are_near_and_sum_to_the_whole(fidelity):
    assert (fidelity["shapley_error"]["sampledshapley"] < 0.02).all()
    assert (fidelity["shapley_spearman"]["sampledshapley"] > 0.99).all()
    assert (fidelity["efficiency_gap"]["sampledshapley"] < 1e-4).all()


@pytest.mark.parametrize("players", [(2, 2), (3, 4)])
def test_exact_values_are_the_true_ones(players):
    explainer, images = Explainer(small(), layer="4"), random_images(2)
    explanations = explainer.compare(images, ["exactshapley", "gradcam"], players=players)
    names = ["shapley_error", "shapley_spearman", "efficiency_gap"]
    actual = measure(explainer, images, explanations, names, players=players)
    assert (actual["shapley_error"]["exactshapley"] < 1e-5).all()
    assert (actual["efficiency_gap"]["exactshapley"] < 1e-5).all()
    assert actual["shapley_spearman"]["exactshapley"].tolist() == pytest.approx([1, 1])
    assert (actual["shapley_error"]["gradcam"] > 1e-3).all()


@pytest.mark.parametrize("method", [name for name in OF_EVERY_MODEL if name != "exactshapley"])  # 2^36 coalitions
def test_methods_that_are_not_in_units_have_a_rank_alone(fidelity, method):
    unknown = not METHODS[method].in_units
    assert fidelity["shapley_error"][method].isnan().tolist() == [unknown] * 2
    assert fidelity["efficiency_gap"][method].isnan().tolist() == [unknown] * 2
    assert (fidelity["shapley_spearman"][method].abs() <= 1 + 1e-9).all()


def test_randomisation_of_a_model_without_weights_changes_nothing():
    """Each map is compared with itself."""
    plan = Plan("NCHW", (6, 6))
    explainer = Explainer(Planted(plan), layer="cells", utility="logit")
    image = image_of(plan, (1, 2))
    actual = measure(
        explainer,
        image,
        {"hirescam": explainer.explain(image, "hirescam", target=0)},
        ["randomisation_spearman", "randomisation_ssim"],
        QUICK,
    )
    assert [float(by["hirescam"]) for by in actual.values()] == pytest.approx([1, 1], abs=1e-5)
