"""A user's function of whatever a model returns, with the right values by hand; and detectors that find nothing."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from helpers.networks import Toy
from shapleycam import Explainer, utilities
from shapleycam.errors import ModelError, OptionError, TargetError
from shapleycam.utilities import Utility

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
IMAGES = torch.tensor([[1.0, 3.0, 2.0], [0.5, 4.0, 2.0]]).reshape(2, 1, 1, 3)
METHODS = ["hirescam", "pathcam-h", "exactshapley"]


@dataclass
class Data:
    scores: torch.Tensor
    count: int = 3


@dataclass(frozen=True, slots=True)
class Slotted:
    inside: Data


class Instances:
    """As detectron2 has them: an object with fields of its own."""

    def __init__(self, scores):
        self._fields = {"scores": scores}


def identity(output):
    return output


def explainer_of(form, function, **options):
    return Explainer(Toy(lambda a: form(a.flatten(1))), utility=function, **options)


FORMS = {
    "list of dicts": (lambda z: [{"s": row} for row in z], lambda o, _: torch.stack([each["s"][1] for each in o])),
    "list of scalars": (lambda z: [{"s": row[1]} for row in z], lambda o, _: torch.stack([each["s"] for each in o])),
    "dict": (lambda z: {"n": 3, "mean": z.mean(), "z": z}, lambda o, _: o["z"][:, 1]),
    "scalars first": (lambda z: (z.mean(), torch.tensor([1, 2, 3]), [z]), lambda o, _: o[2][0][:, 1]),
    "dataclass": (Data, lambda o, _: o.scores[:, 1]),
    "dataclass in another": (lambda z: Slotted(Data(z)), lambda o, _: o.inside.scores[:, 1]),
    "namespace": (lambda z: SimpleNamespace(a=[z]), lambda o, _: o.a[0][:, 1]),
    "object": (Instances, lambda o, _: o._fields["scores"][:, 1]),
    "tensor of five dimensions": (lambda z: z[:, None, None, None], lambda o, _: o[:, 0, 0, 0, 1]),
}


@pytest.mark.parametrize(("form", "function"), FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("raw", [False, True])
def test_the_function_gets_what_the_model_returns(form, function, raw):
    utility = Utility("mine", function, "z_1", "", raw=True) if raw else function
    options = {} if raw else {"output": identity}
    explanations = explainer_of(form, utility, layer="features", **options).compare(IMAGES, METHODS)
    for e in explanations.values():
        assert e.target.tolist() == [0, 0]
        torch.testing.assert_close(e.values[:, 0], torch.tensor([[0, 3.0, 0], [0, 4, 0]]))


@pytest.mark.parametrize(("form", "function"), FORMS.values(), ids=FORMS)
def test_the_layer_is_found_whatever_the_model_returns(form, function):
    torch.manual_seed(0)
    model = Toy(lambda a: form(a.mean((2, 3))))
    model.features = nn.Sequential(nn.Conv2d(1, 3, 2, padding=1), nn.GELU())
    explainer = Explainer(model, utility=function, output=identity)
    explainer.explain(torch.rand(2, 1, 4, 6), "hirescam")
    assert explainer.find_layer().startswith("features")


@pytest.mark.parametrize(
    ("target", "classes"), [(None, [0, 0]), (2, [2, 2]), ([2, 1], [2, 1]), (torch.tensor([1, 2]), [1, 2])]
)
def test_the_target_is_passed_on(target, classes):
    def function(output, target):
        return torch.stack([each["s"][c] for each, c in zip(output, target.tolist(), strict=True)])

    explainer = explainer_of(lambda z: [{"s": row} for row in z], function, output=identity, layer="features")
    e = explainer.explain(IMAGES, "hirescam", target=target)
    assert e.target.tolist() == classes
    assert e.utility.tolist() == [float(IMAGES[i, 0, 0, c]) for i, c in enumerate(classes)]


@pytest.mark.parametrize("target", ["cat", [1], torch.tensor([1, 2, 3])])
def test_a_target_that_no_function_can_take_is_refused(target):
    explainer = explainer_of(lambda z: [{"s": row} for row in z], identity, output=identity, layer="features")
    with pytest.raises(TargetError, match="leave it out, or give a number, or a tensor"):
        explainer.explain(IMAGES, "hirescam", target=target)


# Detections


def detections(threshold):
    def of(z):
        boxes = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1], [2, 0, 3, 1]])
        masks_over_threshold = [row > threshold for row in z]
        labels = torch.ones(3, dtype=torch.long)
        return [
            {"boxes": boxes[keep], "labels": labels[keep], "scores": row[keep]}
            for row, keep in zip(z, masks_over_threshold, strict=True)
        ]

    return of


def best(output, _):
    return torch.stack([each["scores"].max() for each in output])


def total_scores(output, _):
    return torch.stack([each["scores"].sum() for each in output])


def test_a_function_of_detections():
    e = explainer_of(detections(1.5), best, output=identity, layer="features").explain(IMAGES, "hirescam")
    torch.testing.assert_close(e.values[:, 0], torch.tensor([[0, 3.0, 0], [0, 4, 0]]))


def test_a_function_that_copes_gives_0_where_nothing_is_detected():
    explainer = explainer_of(detections(3.5), total_scores, output=identity, layer="features")
    for e in explainer.compare(IMAGES, ["hirescam", "exactshapley"]).values():
        torch.testing.assert_close(e.values[:, 0], torch.tensor([[0, 0.0, 0], [0, 4, 0]]))
        assert e.utility.tolist() == [0, 4]


def test_a_function_that_does_not_cope_is_told_what_was_found():
    explainer = explainer_of(detections(3.5), best, output=identity, layer="features")
    with pytest.raises(TargetError, match="utility 'best' raised RuntimeError, and the model detects nothing in row 0"):
        explainer.explain(IMAGES, "hirescam")
    with pytest.raises(TargetError, match="lower the model's score threshold, or let the utility return 0"):
        explainer.explain(IMAGES[1:], "exactshapley")  # found in the image, and not without its middle


@pytest.mark.parametrize("utility", [best, total_scores, utilities.box()])
def test_a_layer_cannot_be_found_where_nothing_is_detected(utility):
    with pytest.raises(
        ModelError, match=r"the model \(Toy\) returns only empty tensors for these images: it detects n"
    ):
        explainer_of(detections(9), utility, output=identity).explain(IMAGES)


def test_the_functions_own_errors_are_its_own():
    explainer = explainer_of(lambda z: z, lambda _o, _t: 1 / 0, layer="features")
    with pytest.raises(ZeroDivisionError):
        explainer.explain(IMAGES)


def test_a_function_without_a_derivative_is_refused():
    with pytest.raises(OptionError, match="does not depend on the model's output, or detaches it"):
        explainer_of(lambda z: z, lambda o, _: o.detach()[:, 0], layer="features").explain(IMAGES)
