"""Every metric against numbers that were worked out by hand, end to end through `measure`.

The network of the first cases gives its class p(t) = (t + 4) / (t + 5), t = Σ w·a, with w = 1 1 / 1 -1. HiResCAM of
the logit log(t + 4) has values w·a / (t + 4), so that the heatmap is that of ReLU(w·a), whatever t is.

    image one:  4 3 / 2 0, t = 9, p = 13/14        image two:  4 3 / 2 3, t = 6, p = 10/11
    M of both:  1 3/4 / 1/2 0                      x·M of both: 4 9/4 / 1 0, t = 29/4, p = 45/49
    x·(1 - M):  0 3/4 / 1 0, t = 7/4, p = 23/27                0 3/4 / 1 3, t = -5/4, p = 11/15
"""

from __future__ import annotations

import statistics
from fractions import Fraction
from itertools import pairwise
from math import sqrt

import pytest
import torch
from torch import nn

from helpers.metric_networks import explain_at_features, log_score_network
from helpers.networks import Toy, linear, logits, power
from shapleycam.metrics import METRICS, MetricOptions, measure
from shapleycam.metrics.maps import ssim

WEIGHT = torch.tensor([[[1.0, 1], [1, -1]]])
ONE, TWO = [[4.0, 3], [2, 0]], [[4.0, 3], [2, 3]]
PENCIL = MetricOptions(
    blur_size=3,
    blur_sigma=1e6,
    steps=4,
    percentiles=(25, 75),
    road_noise=0,
    pointing_tolerance=1,
    randomised_stages=2,
    saco_groups=4,
    deletion_grid=2,
)
"""A blur that is the mean of 3 x 3 pixels, and one pixel a step."""


def p(t) -> Fraction:
    return (Fraction(t) + 4) / (Fraction(t) + 5)


def measure_metric(name, model, images, objects=None, options=PENCIL):
    explainer = explain_at_features(model)
    explanations = explainer.compare(images, ["hirescam"], target=0)
    return measure(explainer, images, explanations, [name], options, objects)[name]["hirescam"].tolist()


def measure_both_images(name, objects=None):
    return measure_metric(name, log_score_network(WEIGHT), torch.tensor([[ONE], [TWO]]), objects)


AD = 1 - Fraction(45, 49) * Fraction(14, 13)
COH = (Fraction(540) / Fraction(sqrt(140 * 2284)) + 1) / 2
"""CAM(x·M) is 4 9/4 / 1 0 over 4. M less its mean 9/16 is (7 3 -1 -9)/16, the other less 29/64 is (35 7 -13 -29)/64:
products sum to 245 + 21 + 13 + 261 = 540, squares to 140 and to 1225 + 49 + 169 + 841 = 2284.
"""
COM = Fraction(9, 16)
ADCC = [3 / (1 / COH + 1 / (1 - COM) + 1 / (1 - drop)) for drop in (AD, 0)]
ROAD = [
    # One of four pixels: the corner's neighbours beside it count twice the one across, (2·(a + b) + c) / 5.
    # Image one: of most heat 4 becomes (2·(3 + 2) + 0) / 5 = 2, of least 0 becomes (2·(3 + 2) + 4) / 5 = 14/5.
    # Three of four: all become the one that is left, the last (0) of most first, the first (4) of least first.
    ((p(9 - Fraction(14, 5)) - p(7)) / 2 + (p(4 + 4 + 4 - 4) - p(0)) / 2) / 2,
    # Image two: 4 becomes (10 + 3) / 5, 3 becomes 14/5; the last is 3, three of which count, one against.
    ((p(9 - Fraction(14, 5)) - p(Fraction(13, 5) + 5 - 3)) / 2 + (p(4 + 4 + 4 - 4) - p(3 + 3 + 3 - 3)) / 2) / 2,
]


def average_drop():
    return measure_both_images("average_drop"), [AD, 0]  # the second score rises, from 10/11 to 45/49


def increase_in_confidence():
    return measure_both_images("increase_in_confidence"), [0, 1]


def average_drop_in_deletion():
    return measure_both_images("average_drop_in_deletion"), [
        1 - Fraction(23, 27) * Fraction(14, 13),
        1 - Fraction(11, 15) * Fraction(11, 10),
    ]


def coherency():
    return measure_both_images("coherency"), [COH, COH]


def complexity():
    return measure_both_images("complexity"), [COM, COM]


def adcc():
    return measure_both_images("adcc"), ADCC


def area(*totals):
    """Return the area of four trapezoids, each a quarter wide."""
    scores = [p(t) for t in totals]
    return sum((left + right) / 8 for left, right in pairwise(scores))


def insertion():
    # Mirrored at the edge, the corner of 3 x 3 pixels is once itself, twice each neighbour and four times the one
    # across: of 4 3 / 2 0 these are (14 19 / 22 26)/9, of 4 3 / 2 3 (26 25 / 28 29)/9.
    first_steps = [
        Fraction(14 + 19 + 22 - 26, 9),
        4 + Fraction(19 + 22 - 26, 9),
        7 + Fraction(22 - 26, 9),
        9 - Fraction(26, 9),
    ]
    second_steps = [
        Fraction(26 + 25 + 28 - 29, 9),
        4 + Fraction(25 + 28 - 29, 9),
        7 + Fraction(28 - 29, 9),
        9 - Fraction(29, 9),
    ]
    return measure_both_images("insertion"), [area(*first_steps, 9), area(*second_steps, 6)]


def deletion():
    return measure_both_images("deletion"), [area(9, 5, 2, 0, 0), area(6, 2, -1, -3, 0)]


def road():
    return measure_both_images("road"), ROAD


def arcc():
    return measure_both_images("arcc"), [
        3 / (1 / COH + 1 / (1 - COM) + 1 / (2 * road)) for road in ROAD
    ]  # both within (0, 1/2)


def pointing_game():
    # The maximum is top left: of the objects, one lies beside it (1 pixel away), the other across (more than 1).
    objects = torch.tensor([[[False, True], [False, False]], [[False, False], [False, True]]])
    return measure_both_images("pointing_game", objects), [1, 0]


def energy_pointing():
    # M = 1 3/4 / 1/2 0 sums to 9/4, of which the right column has 3/4 and the lower row 1/2.
    objects = torch.tensor([[[False, True], [False, True]], [[False, False], [True, True]]])
    return measure_both_images("energy_pointing", objects), [Fraction(1, 3), Fraction(2, 9)]


def inverse_insertion_totals():
    """The weakest pixel first, of either image: 0 and then 2, 3, 4; of the second 3 (with weight -1), 2, 3, 4."""
    first = [Fraction(29, 9), Fraction(14 + 19 + 22, 9), Fraction(14 + 19, 9) + 2, Fraction(14, 9) + 5, 9]
    second = [Fraction(50, 9), Fraction(26 + 25 + 28, 9) - 3, Fraction(26 + 25, 9) - 1, Fraction(26, 9) + 2, 6]
    return first, second


def srg():
    # Behind zero: 0, 2, 3, 4 of image one go with t = 9 9 7 4 0; of image two 3 (weight -1), 2, 3, 4.
    return measure_both_images("srg"), [
        area(9, 9, 7, 4, 0) - area(9, 5, 2, 0, 0),
        area(6, 9, 7, 4, 0) - area(6, 2, -1, -3, 0),
    ]


def srg_blur():
    # The blurred images are those of `insertion`; removal is insertion read backwards, with the order reversed.
    first = [9, 5 + Fraction(14, 9), 2 + Fraction(14 + 19, 9), Fraction(14 + 19 + 22, 9), Fraction(29, 9)]
    second = [6, 2 + Fraction(26, 9), -1 + Fraction(51, 9), -3 + Fraction(79, 9), Fraction(50, 9)]
    first_kept = [9, 9 - Fraction(26, 9), 7 + Fraction(22 - 26, 9), 4 + Fraction(19 + 22 - 26, 9), Fraction(29, 9)]
    second_kept = [6, 9 - Fraction(29, 9), 7 + Fraction(28 - 29, 9), 4 + Fraction(25 + 28 - 29, 9), Fraction(50, 9)]
    return measure_both_images("srg_blur"), [
        area(*first_kept) - area(*first),
        area(*second_kept) - area(*second),
    ]


def qge_insertion():
    _, forward = insertion()
    backward = [area(*totals) for totals in inverse_insertion_totals()]
    return measure_both_images("qge_insertion"), [one - other for one, other in zip(forward, backward, strict=True)]


HEAT = [1.0, 0.75, 0.5, 0.0]
"""Of the pixels that the four steps exchange, in both images."""


def correlations(sign, *all_totals):
    """Return the correlation of the steps' heat with what each step changes, for each image."""
    changes = [[sign * float(p(after) - p(before)) for before, after in pairwise(totals)] for totals in all_totals]
    return [statistics.correlation(HEAT, of_image) for of_image in changes]


def deletion_correlation():
    return measure_both_images("deletion_correlation"), correlations(-1, (9, 5, 2, 0, 0), (6, 2, -1, -3, 0))


def insertion_correlation():
    first = (Fraction(29, 9), 4 + Fraction(15, 9), 7 + Fraction(22 - 26, 9), 9 - Fraction(26, 9), 9)
    second = (Fraction(50, 9), 4 + Fraction(24, 9), 7 + Fraction(28 - 29, 9), 9 - Fraction(29, 9), 6)
    return measure_both_images("insertion_correlation"), correlations(1, first, second)


def saco():
    # A pixel a group, behind the mean colour. Of image one, 9/4: t = 29/4, 33/4, 37/4, 27/4, so that the last, of no
    # heat, takes most and the third least: 1/4 + 1/2 - 1, 1/4 - 3/4, -1/2 of together 13/4. Of image two, 3:
    # t = 5 6 7 6, so that only the third takes less than the last.
    return measure_both_images("saco"), [Fraction(-5, 13), Fraction(9, 13)]


def single_deletion():
    # A pixel a patch: values 4 3 2 0 and 4 3 2 -3 over t + 4, and t = 5 6 7 9 and 2 3 4 9 without each.
    return measure_both_images("single_deletion"), [1, 1]


def infidelity():
    # Least squares through zero leaves 1 - (Σ φ·drop)² / (Σ φ²·Σ drop²).
    expected = []
    for total, values, without in ((9, (4, 3, 2, 0), (5, 6, 7, 9)), (6, (4, 3, 2, -3), (2, 3, 4, 9))):
        drops = [p(total) - p(t) for t in without]
        product = sum(value * drop for value, drop in zip(values, drops, strict=True))
        expected.append(1 - product**2 / (sum(v**2 for v in values) * sum(drop**2 for drop in drops)))
    return measure_both_images("infidelity"), expected


def gini():
    # M sorted is 0 1/2 3/4 1: -3·0 - 1/2 + 3/4 + 3, over 4·9/4.
    return measure_both_images("gini"), [Fraction(13, 36)] * 2


def sparsity():
    return measure_both_images("sparsity"), [Fraction(16, 9)] * 2


def effective_complexity():
    return measure_both_images("effective_complexity"), [Fraction(3, 4)] * 2


def relevance_rank():
    # The objects have two pixels each; the two strongest are the upper row.
    objects = torch.tensor([[[False, True], [False, True]], [[False, False], [True, True]]])
    return measure_both_images("relevance_rank", objects), [Fraction(1, 2), 0]


def relevance_mass():
    # Values are in proportion to 4 3 / 2 0 and 4 3 / 2 -3: of 9 the right column has 3, the lower row 2.
    objects = torch.tensor([[[False, True], [False, True]], [[False, False], [True, True]]])
    return measure_both_images("relevance_mass", objects), [Fraction(1, 3), Fraction(2, 9)]


def best_box_iou(name="best_box_iou"):
    # Cut at 0 the map's box is the whole image, from 1/2 on the upper row, from 3/4 on the first pixel. The first
    # object is the upper row; with the right column the image has 1/2, the upper row 1/3, the first pixel 0.
    objects = torch.tensor([[[True, True], [False, False]], [[False, True], [False, True]]])
    return measure_both_images(name, objects), [1, Fraction(1, 2)]


def best_any_box_iou():
    return best_box_iou("best_any_box_iou")  # each of these maps is one part; several: test_box_overlap.py


def max_sensitivity():
    # Values are w·x, so that those of x + δ differ by w·δ. The draws are read off where they enter the network.
    weight, images = torch.tensor([[[1.0, -2], [3, 0]]]), torch.tensor([[ONE], [TWO]])
    model, seen = linear(weight), []
    explainer = explain_at_features(model)
    explanations = explainer.compare(images, ["hirescam"], target=0)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    actual = measure(explainer, images, explanations, ["max_sensitivity"])["max_sensitivity"]["hirescam"]
    changes = torch.stack(seen) - images
    assert len(changes) == 10
    assert 0.015 < changes.abs().max() <= 0.02 * (1 + 1e-4)
    assert len(changes.flatten(1).unique(dim=0)) == 10
    norms = (weight * changes).flatten(2).norm(dim=2).amax(0)
    sizes = [sqrt(4**2 + 6**2 + 6**2), sqrt(4**2 + 6**2 + 6**2)]  # (4, -6, 6, 0) of both: the last has weight 0
    return actual.tolist(), [float(norm) / size for norm, size in zip(norms, sizes, strict=True)]


class Weights(nn.Module):
    """Numbers times what comes in, that become others when they are re-initialised."""

    def __init__(self, now, later):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(now))
        self.later = torch.tensor(later)

    def reset_parameters(self):
        self.weight.copy_(self.later)

    def forward(self, x):
        return x * self.weight


class Layers(nn.Module):
    """The score is the sum over places of x·lower·upper."""

    def __init__(self, lower: Weights, upper: Weights):
        super().__init__()
        self.features = nn.MaxPool2d(1)
        self.lower, self.upper = lower, upper

    def forward(self, x):
        score = self.upper(self.lower(self.features(x))).flatten(1).sum(1)
        return torch.stack([score, 0 * score], 1)


def randomisation_spearman():
    # First the upper half: 1 2 3 4 becomes 2 1 3 4, ρ = 1 - 6·(1 + 1) / (4·15) = 0.8. Then the lower, which becomes
    # zero: every value is the same, and counts as 0.
    model = Layers(Weights(1.0, 0.0), Weights([[1.0, 2], [3, 4]], [[2.0, 1], [3, 4]]))
    return measure_metric("randomisation_spearman", model, torch.ones(1, 1, 2, 2)), [0.4]


def randomisation_ssim():
    # Stripes a pixel wide: in each window the mean is 1/2, the variance 1/4 and the covariance with the stripes
    # between, to which the lower layer is re-initialised, -1/4. The upper, which comes first, stays as it is: 1.
    stripes = (torch.arange(12) % 2).float().expand(12, 12)
    model = Layers(Weights(stripes.tolist(), (1 - stripes).tolist()), Weights(1.0, 1.0))
    inverted = (-2 / 4 + 0.03**2) / (2 / 4 + 0.03**2)
    return measure_metric("randomisation_ssim", model, torch.ones(1, 1, 12, 12)), [(1 + inverted) / 2]


def smooth_randomisation_spearman():
    # The same models and images, whose numbers have no range, so that the noise has none either.
    model = Layers(Weights(1.0, 0.0), Weights([[1.0, 2], [3, 4]], [[2.0, 1], [3, 4]]))
    return measure_metric("smooth_randomisation_spearman", model, torch.ones(1, 1, 2, 2)), [0.4]


def randomisation_entropy():
    # Four values, each in a bin of its own: log 4. With all layers re-initialised 2 2 / 3 3, two bins: log 2.
    lower, upper = Weights([[1.0, 1], [1, 1]], [[1.0, 2], [1, 0.75]]), Weights([[1.0, 2], [3, 4]], [[2.0, 1], [3, 4]])
    return measure_metric("randomisation_entropy", Layers(lower, upper), torch.ones(1, 1, 2, 2)), [-0.5]


def squared(name):
    """Of (Σ a)²: φ_j = a_j·Σ a, as each pair shares 2·a_i·a_j; HiResCAM, a_j·2·Σ a, is twice that."""
    return measure_metric(name, power(2), torch.tensor([[[[4.0, 3], [2, 1]]], [[[1.0, 2], [4, 8]]]]))


def shapley_error():
    return squared("shapley_error"), [1, 1]


def shapley_spearman():
    return squared("shapley_spearman"), [1, 1]


def efficiency_gap():
    return squared("efficiency_gap"), [1, 1]


CASES = {
    case.__name__: case
    for case in (
        average_drop,
        coherency,
        complexity,
        adcc,
        increase_in_confidence,
        average_drop_in_deletion,
        insertion,
        deletion,
        road,
        arcc,
        pointing_game,
        energy_pointing,
        srg,
        srg_blur,
        qge_insertion,
        deletion_correlation,
        insertion_correlation,
        saco,
        single_deletion,
        infidelity,
        gini,
        sparsity,
        effective_complexity,
        relevance_rank,
        relevance_mass,
        best_box_iou,
        best_any_box_iou,
        max_sensitivity,
        randomisation_spearman,
        randomisation_ssim,
        smooth_randomisation_spearman,
        randomisation_entropy,
        shapley_error,
        shapley_spearman,
        efficiency_gap,
    )
}


def test_every_metric_has_a_case():
    assert CASES.keys() == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
def test_by_pencil(name):
    actual, expected = CASES[name]()
    # The mean of stripes within a window of finite σ is 1/2 to a few 1e-5; correlations are of differences in float32.
    tolerance = {"randomisation_ssim": 1e-3, "insertion_correlation": 1e-5}.get(name, 2e-6)
    assert actual == pytest.approx([float(value) for value in expected], abs=tolerance)


def test_values_that_are_wrong_by_pencil():
    # Behind a_1 + a_2 + a_2·a_3, at 1 2 3: φ = 1, 5, 3 (the product is shared evenly); HiResCAM has 1, 8, 6. At 4 2 3
    # they are 4, 5, 3 and 4, 8, 6: ranks 2 3 1 and 1 3 2, ρ = 1 - 6·(1 + 1) / (3·8).
    model = Toy(lambda a: logits(a[:, 0, 0, 0] + a[:, 0, 0, 1] + a[:, 0, 0, 1] * a[:, 0, 0, 2]))
    images = torch.tensor([[[[1.0, 2, 3]]], [[[4.0, 2, 3]]]])
    assert measure_metric("shapley_spearman", model, images) == pytest.approx([1, 0.5])
    # The differences are 0, 3, 3, and φ has length √35 and √50. The sums are 15 in place of 9, and 18 of 12.
    assert measure_metric("shapley_error", model, images) == pytest.approx([sqrt(18 / 35), sqrt(18 / 50)])
    assert measure_metric("efficiency_gap", model, images) == pytest.approx([6 / 9, 6 / 12])


def test_arcc_cuts_road_to_its_range():
    score = METRICS["arcc"].function
    ones = torch.ones(3, dtype=torch.float64)
    actual = score(ones, 0.5 * ones, torch.tensor([-0.3, 0.25, 0.7], dtype=torch.float64))
    assert actual.tolist() == pytest.approx([0, 3 / (1 + 2 + 2), 3 / (1 + 2 + 1)])


def test_structural_similarity_of_even_maps():
    # No variance anywhere: what is left is (2ab + c) / (a² + b² + c), c = 0.01².
    first_map, second_map = torch.full((1, 16, 16), 0.5), torch.full((1, 16, 16), 0.25)
    expected = (2 / 8 + 1e-4) / (1 / 4 + 1 / 16 + 1e-4)
    assert float(ssim(first_map, second_map)) == pytest.approx(expected, abs=1e-4)
