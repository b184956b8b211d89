"""Distances from the true values: measured on games whose values are known, summed up by pencil, and put in words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import t as student

from helpers.networks import Once, Smooth, linear, quadratic
from shapleycam import METHODS, Explainer
from shapleycam.errors import OptionError, ScaleInvariantHeadWarning
from shapleycam.explaining.inputs import batch_of
from shapleycam.fidelity import Distance, Mean, advice, fidelity, summary
from shapleycam.values import exact
from shapleycam.values.distance import relative_error

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def measure_fidelity(model, images, methods=("all",), **options):
    explainer = Explainer(model, layer="features", utility="logit")
    batches = [batch_of(part, None, model) for part in images.split(2)]
    return explainer, fidelity(explainer, batches, [options.pop("utility", "logit")], methods, **options)


@pytest.fixture
def images():
    """Positive, so that the toys' score is above its rival's 0 and explained as the predicted class."""
    return torch.rand(3, 2, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def by_method(result):
    return {row.method: row for row in summary(result.distances)}


def test_a_linear_head_has_one_answer(images):
    weight = torch.arange(12, dtype=torch.float64).reshape(2, 2, 3) - 4
    _, result = measure_fidelity(linear(weight), images)
    rows = by_method(result)
    assert set(rows) == {name for name, row in METHODS.items() if "all" in row.sets}
    for method in ("hirescam", "shapleycam-h", "pathcam-h", "sampledshapley", "exactshapley"):
        assert rows[method].error.value < 1e-6, method
        assert rows[method].spearman.value == pytest.approx(1), method
        assert rows[method].gap.value < 1e-6, method
    assert rows["gradcam"].error.value > 0.01  # its weights are means over positions
    assert rows["gradcam-e"].gap.value > 0.01
    assert result.reference == "all coalitions"
    assert set(result.reference_errors) == {0.0}
    assert all(row.curvature.value < 1e-6 for row in rows.values())


def test_a_quadratic_head_separates_the_orders(images):
    matrix = torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = quadratic(torch.ones(12, dtype=torch.float64), matrix @ matrix.T)
    explainer, result = measure_fidelity(model, images)
    rows = by_method(result)
    assert rows["shapleycam-h"].error.value < 1e-6
    assert rows["pathcam-h"].error.value < 1e-6
    true = exact(explainer.game(images)).values
    game = explainer.game(images)
    first = game.layout.positions(game.activation * game.gradient()).sum(2)
    assert rows["hirescam"].error.value == pytest.approx(float(relative_error(first, true).mean()), rel=1e-6)
    assert rows["hirescam"].curvature.value > 0.1


def test_methods_without_units_get_ranks_only(images):
    _, result = measure_fidelity(
        linear(torch.ones(2, 2, 3, dtype=torch.float64)), images, ["layercam", "gradcam++", "randomcam"]
    )
    for row in summary(result.distances):
        assert row.error is None
        assert row.gap is None
        assert -1 <= row.spearman.value <= 1
        assert row.passes.value > 0


def test_every_image_counts_once_whatever_the_batches(images):
    model = Smooth()
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    explainer, result = measure_fidelity(model, images, ["hirescam", "pathcam-h"], players=(2, 2))
    assert len(result.distances) == 6
    game = explainer.game(images, players=(2, 2))
    true = exact(game).values
    torch.testing.assert_close(result.values["logit", "true"], true.flatten(), rtol=1e-6, atol=1e-9)
    alone = fidelity(
        explainer,
        [batch_of(images[2:], None, model)],
        ["logit"],
        ["hirescam"],
        players=(2, 2),
    )
    third = [d for d in result.distances if d.method == "hirescam"][2]
    assert alone.distances[0].error == pytest.approx(third.error, rel=1e-6)
    assert alone.distances[0].curvature == pytest.approx(third.curvature, rel=1e-4)


def test_sampled_true_values_keep_their_tolerance_and_their_seed():
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    _, result = measure_fidelity(Smooth(), images, ["sampledshapley", "pathcam-h"], utility="rest", tolerance=0.004)
    assert result.reference == "permutation sampling to 0.40%"
    assert max(result.reference_errors) <= 0.004
    error = by_method(result)["sampledshapley"].error.value
    assert 0 < error < 0.04  # not zero, as it would be against its own samples


def test_a_closed_form_is_the_truth_where_there_is_one():
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    explainer, result = measure_fidelity(Smooth(), images, ["pathcam-h"])
    assert result.reference == "closed form"
    true = exact(explainer.game(images)).values.flatten()
    torch.testing.assert_close(result.values["logit", "true"], true)


def test_without_second_derivatives_the_rest_is_measured(images):
    model = linear(torch.ones(2, 2, 3, dtype=torch.float64))
    plain = model.head
    model.head = lambda a: plain(Once.apply(a))
    _, result = measure_fidelity(model, images, ["shapleycam", "hirescam"])
    assert result.left_out == ("shapleycam",)
    assert {d.method for d in result.distances} == {"hirescam"}
    assert {d.curvature for d in result.distances} == {None}


def test_no_images_are_refused():
    with pytest.raises(OptionError, match="no images were given; expected at least one"):
        fidelity(Explainer(Smooth(), layer="features"), [])


@pytest.mark.filterwarnings("default::shapleycam.errors.ScaleInvariantHeadWarning")
def test_a_scale_invariant_head_is_named():
    class Normed(Smooth):
        def forward(self, x):
            a = self.features(x)
            norm = a.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
            return self.fc(self.after(a / (norm + 1e-9)).mean((2, 3)))

    images = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    with pytest.warns(ScaleInvariantHeadWarning, match="sampledshapley"):
        measure_fidelity(Normed(), images, ["hirescam"], tolerance=0.05, utility="logit")


# What they say together


def make_distance(method="hirescam", error=0.1, passes=1.0, **more):
    return Distance("a", "rest", method, error, 0.9, 0.2, 0.1, 0.03, passes, **more)


def test_means_and_students_intervals_by_pencil():
    (row,) = summary([make_distance(error=0.1), make_distance(error=0.2), make_distance(error=0.6)])
    assert row.error.value == pytest.approx(0.3)
    deviation = math.sqrt((0.2**2 + 0.1**2 + 0.3**2) / 2)
    assert row.error.half == pytest.approx(student.ppf(0.975, 2) * deviation / math.sqrt(3))
    assert (row.error.count, row.gap.half) == (3, pytest.approx(0))


def test_undefined_figures_are_left_out_and_counted():
    mean = Mean.of([0.5, math.nan, None, 1.5, math.inf])
    assert (mean.value, mean.count) == (1.0, 2)
    assert Mean.of([None, math.nan]) is None
    assert math.isnan(Mean.of([0.5]).half)


def test_rows_are_best_first_and_those_without_units_last():
    rows = summary([make_distance("b", 0.3), replace(make_distance("c"), error=None), make_distance("a", 0.1)])
    assert [row.method for row in rows] == ["a", "b", "c"]


def test_advice_takes_the_cheapest_that_is_near():
    near = [
        make_distance("sampledshapley", 0.004, 1.5),
        make_distance("pathcam-h", 0.008, 1.05),
        make_distance("hirescam", 0.33, 1.0),
    ]
    text = advice(summary(near), "rest")
    assert text.startswith("Use pathcam-h for rest: its values are 0.8% from the true Shapley values for 1.05 times")
    assert "hirescam is 33% off" in text


def test_advice_takes_the_nearer_of_two_that_cost_the_same():
    rows = summary([make_distance("pathcam-h", 0.003, 1.1), make_distance("shapleycam-h", 0.02, 1.02)])
    assert advice(rows, "rest").startswith("Use pathcam-h")


def test_advice_warns_where_nothing_is_near():
    text = advice(summary([make_distance("hirescam", 0.4), make_distance("pathcam-h", 0.09)]), "rest")
    assert text.startswith("Use pathcam-h for rest with care")
    assert "9% from the true ones; sampledshapley" in text


def test_advice_on_ranks_alone():
    rows = summary([replace(make_distance("layercam"), error=None, gap=None)])
    assert "none is in units of the utility, and its ranks are nearest (Spearman 0.90)" in advice(rows, "rest")
