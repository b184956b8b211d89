"""Classes that a model leaves out, and labels that stand beside each other, where they do and where they do not."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from helpers.networks import Toy
from helpers.table_rows import OF_EXCLUSIVE_CLASSES
from shapleycam import Explainer, utilities
from shapleycam.errors import ExclusiveClassesWarning, ModelError, OptionError, TargetError
from shapleycam.models.labels import imagenet_labels

pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning"),
    pytest.mark.filterwarnings("ignore::shapleycam.errors.NoCurvatureWarning"),
]
IMAGES = torch.tensor([[1.0, 3.0, 2.0], [0.5, -1.0, 2.0]]).reshape(2, 1, 1, 3)
MASK = torch.tensor([0, 0, -torch.inf])
MASKED = {
    "added": lambda z: z + MASK,
    "filled": lambda z: z.masked_fill(MASK != 0, -torch.inf),
    "written": lambda z: torch.cat([z[:, :2], torch.full((len(z), 1), -torch.inf)], 1),
}
METHODS = ["hirescam", "shapleycam-h", "pathcam-h", "exactshapley"]


def explainer_of(function, **options):
    return Explainer(Toy(lambda a: function(a.flatten(1))), layer="features", **options)


@pytest.mark.parametrize("function", MASKED.values(), ids=MASKED)
@pytest.mark.parametrize("utility", OF_EXCLUSIVE_CLASSES)
def test_beside_a_class_that_is_left_out_the_others_are_explained_as_if_it_were_not_there(function, utility):
    masked = explainer_of(function, utility=utility).compare(IMAGES, METHODS)
    two = explainer_of(lambda z: z[:, :2], utility=utility).compare(IMAGES, METHODS)
    for name, e in masked.items():
        assert e.target.tolist() == [1, 0]
        torch.testing.assert_close(e.values, two[name].values, atol=1e-6, rtol=1e-5)
        assert e.probabilities(0)[2] == 0


def test_the_values_beside_it_are_those_by_hand():
    e = explainer_of(MASKED["added"]).explain(IMAGES[:1], "hirescam")
    p = 1 / (1 + exp(-2))  # of class 1 against class 0
    assert float(e.utility) == pytest.approx(3 + log(p))
    assert e.values[0, 0].tolist() == pytest.approx([-1 * (1 - p), 3 * (2 - p), 0])


@pytest.mark.parametrize("utility", ["rest", "logit", "probability", utilities.contrast(0), utilities.any_of([1, 2])])
def test_the_class_that_is_left_out_cannot_be_explained(utility):
    with pytest.raises(TargetError, match=r"class 2 \(bird\) is left out by the model in image 0 \(its logit is -inf"):
        explainer_of(MASKED["added"], labels=("cat", "dog", "bird")).explain(IMAGES, target=2, utility=utility)
    with pytest.raises(TargetError, match="class 2 is left out by the model"):
        explainer_of(MASKED["added"]).explain(IMAGES, target=0, utility=utilities.contrast(2))


def test_a_class_that_is_left_out_in_one_image_only():
    explainer = explainer_of(lambda z: z.masked_fill(z < 0, -torch.inf))
    assert explainer.explain(IMAGES, "hirescam", target=[1, 0]).target.tolist() == [1, 0]
    with pytest.raises(TargetError, match=r"class 1 \(class 1\) is left out by the model in image 1"):
        explainer.explain(IMAGES, "hirescam", target=1)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_other_numbers_that_are_not_finite_stay_refused(number):
    with pytest.raises(ModelError, match="the output holds NaN or infinity for image 0, 1 of the batch"):
        explainer_of(lambda z: z + torch.tensor([0, number, 0])).explain(IMAGES)


def test_likeliest_classes_are_those_that_are_not_left_out():
    explanations = explainer_of(MASKED["added"]).explain_each(IMAGES, 3, "hirescam")
    assert [e.target.tolist() for e in explanations] == [[1, 0], [0, 1]]


# Labels beside each other


@pytest.mark.parametrize("name", ["rest", "log_probability", "probability"])
@pytest.mark.parametrize("function", [lambda z: z.softmax(1), lambda z: z.log_softmax(1)])
def test_the_sigmoid_of_classes_that_a_softmax_makes_exclude_each_other_is_refused(function, name):
    with pytest.raises(OptionError, match=f"so that they exclude each other; use '{name}'"):
        explainer_of(function).explain(IMAGES, utility=f"sigmoid_{name}")


def labels_function(count, share):
    """Return a function that makes labels, a share of which has a positive logit."""
    signs = torch.where(torch.arange(count) < share * count, 1.0, -1.0)
    return lambda z: z.abs().sum(1, keepdim=True) * signs


def test_the_sigmoid_of_classes_that_evidently_exclude_each_other_is_warned_of_once():
    explainer = explainer_of(labels_function(1000, 0.4), utility="sigmoid_rest")
    with pytest.warns(ExclusiveClassesWarning, match="seem to exclude each other; if they do, use 'rest'") as warned:
        explanations = [explainer.explain(IMAGES, "hirescam", target=target) for target in (0, 1)]
    assert len(warned) == 1
    assert len(explanations) == 2


@pytest.mark.filterwarnings("ignore::shapleycam.errors.SaturatedDerivativeWarning")
def test_imagenets_classes_exclude_each_other_whatever_the_numbers():
    explainer = explainer_of(labels_function(1000, 0.01), utility="sigmoid_probability", labels=imagenet_labels())
    with pytest.warns(ExclusiveClassesWarning, match="if they do, use 'probability'"):
        explainer.explain(IMAGES, "hirescam", target=0)


@pytest.mark.parametrize(
    "function",
    [
        labels_function(40, 0.5),
        labels_function(1000, 0.05),
        labels_function(80, 1),
        lambda z: labels_function(1000, 0.4)(z).sigmoid(),
    ],
)
@pytest.mark.filterwarnings("ignore::shapleycam.errors.ProbabilitiesWarning")
def test_labels_that_may_stand_beside_each_other_are_not_warned_of(function):
    e = explainer_of(function, utility="sigmoid_rest").explain(IMAGES, "hirescam", target=0)
    z = float(IMAGES[0].abs().sum())
    assert float(e.utility[0]) == pytest.approx(z - log(1 + exp(-z)))
