"""Several classes of each image from one forward pass."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

import shapleycam
from shapleycam.errors import OptionError, TargetError
from shapleycam.utilities import any_of, box, contrast, inside, similarity

# Maps of noise are often blank; nothing here is about what the maps show.
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")

LABELS = ("tench", "goldfish", "crane", "quilt", "bow tie")


class Passes:
    """Where a network counts: a private copy has copies of all that its forward uses but classes."""

    counted: ClassVar[list[int]] = []


class Counted(nn.Conv2d):
    """A convolution that counts its forward passes."""

    passes = property(lambda _: Passes.counted)

    def forward(self, x):
        Passes.counted.append(len(x))
        return super().forward(x)


class Counting(nn.Module):
    """Counts the passes through what comes before the layer 'features', which is made of `before`'s output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.before = Counted(3, 6, 2, stride=2)
        self.features = nn.Conv2d(6, 6, 3, padding=1)
        self.after = nn.Sequential(nn.GELU(), nn.Conv2d(6, 6, 3, padding=1), nn.Softplus())
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        return self.fc(self.after(self.features(self.before(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def model():
    return Counting().eval()


@pytest.fixture
def explainer(model):
    explainer = shapleycam.Explainer(model, layer="features", labels=LABELS)
    explainer.explain(torch.randn(3, 3, 12, 12))  # the checks that are made once
    model.before.passes.clear()
    return explainer


@pytest.fixture(scope="module")
def batch():
    return torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def assert_same(explanation, expected):
    assert (explanation.method, explanation.layer, explanation.utility_name) == (
        expected.method,
        expected.layer,
        expected.utility_name,
    )
    assert torch.equal(explanation.target, expected.target)
    for name in ("values", "heatmap", "utility", "output", "images"):
        assert torch.equal(getattr(explanation, name), getattr(expected, name)), name
    assert (explanation.stderr is None) == (expected.stderr is None)
    assert explanation.labels == expected.labels


FORMS = {
    "numbers": [0, 3],
    "labels": ["crane", "tench"],
    "one class an image": [[0, 1, 2], torch.tensor([4, 4, 0])],
    "the predicted class among others": [None, 2],
    "a tensor": torch.tensor([0, 3]),
    "the same twice": [1, 1],
}


@pytest.mark.parametrize("targets", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("method", ["gradcam", "shapleycam-h", "pathcam"])
def test_each_target_is_explained_as_if_alone(explainer, batch, targets, method):
    explanations = explainer.explain_each(batch, targets, method)
    assert len(explanations) == 2
    for target, e in zip(targets, explanations, strict=True):
        assert_same(e, explainer.explain(batch, method, target))


def test_a_number_means_the_likeliest_classes_of_each_image(explainer, model, batch):
    with torch.no_grad():
        order = model(batch).sort(descending=True).indices
    explanations = explainer.explain_each(batch, 3, "hirescam")
    assert [e.target.tolist() for e in explanations] == [order[:, k].tolist() for k in range(3)]
    for k, e in enumerate(explanations):
        assert_same(e, explainer.explain(batch, "hirescam", order[:, k]))


def test_the_likeliest_class_is_the_predicted_one(explainer, batch):
    (only,) = explainer.explain_each(batch, 1)
    assert_same(only, explainer.explain(batch))


def test_of_more_classes_than_there_are_all_are_explained(explainer, batch):
    explanations = explainer.explain_each(batch, 99, "gradcam")
    assert len(explanations) == 5
    assert sorted(int(e.target[0]) for e in explanations) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("targets", [[0, 1, 2, 3], 4])
def test_all_targets_share_one_forward_pass(explainer, model, batch, targets):
    explainer.explain_each(batch, targets, "shapleycam")
    assert model.before.passes == [3]


def test_all_targets_and_methods_share_one_forward_pass(explainer, model, batch):
    explainer.compare_each(batch, ["gradcam", "shapleycam", "hirescam", "layercam"], [0, 1, 2])
    assert model.before.passes == [3]


def test_with_the_head_run_again_what_comes_before_it_is_still_run_no_more_often_than_for_one_target(model, batch):
    def passes(targets):
        explainer = shapleycam.Explainer(model, layer="features")
        explainer.explain_each(batch, [0], "pathcam")  # learns what the head reads
        model.before.passes.clear()
        explainer.explain_each(batch, targets, "pathcam")
        return list(model.before.passes)

    assert passes([0, 1, 2, 3, 4]) == passes([0]) == [3]


def test_methods_and_targets_are_all_compared(explainer, batch):
    names = ["gradcam", "shapleycam-h", "pathcam-h", "randomcam"]
    comparisons = explainer.compare_each(batch, names, [4, "goldfish"], curvature=True)
    assert [list(comparison) for comparison in comparisons] == [names, names]
    for target, comparison in zip([4, 1], comparisons, strict=True):
        alone = explainer.compare(batch, names, target, curvature=True)
        for name in names:
            assert_same(comparison[name], alone[name])
            assert torch.equal(comparison[name].curvature, alone[name].curvature)


def test_sampling_is_the_same_as_for_one_target(explainer, batch):
    explanations = explainer.explain_each(batch, [0, 1], "sampledshapley", players=(2, 2), seed=5, tolerance=0.05)
    for target, e in enumerate(explanations):
        alone = explainer.explain(batch, "sampledshapley", target, players=(2, 2), seed=5, tolerance=0.05)
        assert_same(e, alone)
        assert torch.equal(e.stderr, alone.stderr)


def test_each_label_of_a_multi_label_model_has_its_own_map(explainer, model, batch):
    explanations = explainer.explain_each(batch, 5, "hirescam", "sigmoid_rest")
    with torch.no_grad():
        before = model.before(batch)
        activation = model.features(before)
    for e in explanations:
        leaf = activation.clone().requires_grad_()
        z = model.fc(model.after(leaf).mean((2, 3)))[range(3), e.target]
        (gradient,) = torch.autograd.grad((z - (1 + (-z).exp()).log()).sum(), leaf)
        torch.testing.assert_close(e.values, (gradient * leaf).sum(1).detach(), atol=1e-6, rtol=1e-4)


def test_several_layers_are_run_once_each(model, batch):
    explainer = shapleycam.Explainer(model, layer=["features", "after.1"])
    explainer.explain(batch, "gradcam")
    model.before.passes.clear()
    explanations = explainer.explain_each(batch, [0, 1, 2], "gradcam")
    assert model.before.passes == [3, 3]
    for target, e in enumerate(explanations):
        alone = explainer.explain(batch, "gradcam", target)
        assert e.layer == alone.layer == "features + after.1"
        assert torch.equal(e.heatmap, alone.heatmap)


def test_a_question_is_put_to_each_target(explainer, batch):
    explanations = explainer.explain_each(batch, [0, 2], "hirescam", contrast("goldfish"))
    for target, e in zip([0, 2], explanations, strict=True):
        assert_same(e, explainer.explain(batch, "hirescam", target, contrast("goldfish")))


def test_the_likeliest_of_a_set_are_in_the_set(explainer, batch):
    explanations = explainer.explain_each(batch, 2, "hirescam", any_of([1, 3]))
    for e in explanations:
        assert set(e.target.tolist()) <= {1, 3}


def test_several_classes_of_a_segmentation_come_from_one_pass():
    torch.manual_seed(1)
    model = nn.Sequential(Counted(3, 4, 1), nn.Softplus(), nn.Conv2d(4, 3, 3, padding=1)).eval()
    explainer = shapleycam.Explainer(model, layer="1")
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    utility = inside(torch.ones(8, 8))
    explainer.explain(images, "hirescam", None, utility)
    model[0].passes.clear()
    explanations = explainer.explain_each(images, 3, "hirescam", utility)
    assert model[0].passes == [2]
    assert sorted(int(e.target[1]) for e in explanations) == [0, 1, 2]
    for e in explanations:
        assert_same(e, explainer.explain(images, "hirescam", e.target, utility))


# What is refused


@pytest.mark.parametrize("targets", [0, -1])
def test_none_of_the_likeliest_is_refused(explainer, batch, targets):
    with pytest.raises(OptionError, match=rf"targets={targets}, utility 'rest'; expected 1 or more, of what has cla"):
        explainer.explain_each(batch, targets)


def test_the_likeliest_of_what_has_no_classes_are_refused(explainer, batch):
    with pytest.raises(OptionError, match="targets=2, utility 'similarity'; expected 1 or more, of what has classes"):
        explainer.explain_each(batch, 2, utility=similarity(torch.ones(5)))


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (5, "class 5 is out of range: the model has classes 0 to 4"),
        ("cran", "class 'cran' is not among the model's 5 labels; did you mean 'crane'"),
        ([0, 1], "targets given: 2, images: 3; expected one target, or one an image"),
        (1.5, "target 1.5 is a float; expected a class number or label"),
    ],
)
def test_one_wrong_target_among_right_ones_is_named(explainer, batch, target, text):
    with pytest.raises(TargetError, match=text):
        explainer.explain_each(batch, [0, target])


def test_a_target_that_a_contrast_is_against_is_refused(explainer, batch):
    with pytest.raises(TargetError, match="class 2 was to be explained against itself"):
        explainer.explain_each(batch, [0, 2], utility=contrast(2))


@pytest.mark.parametrize("targets", ["crane", "12"])
def test_text_is_not_taken_for_its_letters(explainer, batch, targets):
    with pytest.raises(OptionError, match=f"targets='{targets}'.*; expected "):
        explainer.explain_each(batch, targets)


def test_of_no_targets_there_are_no_explanations(explainer, batch):
    assert explainer.explain_each(batch, []) == []


def test_an_unknown_method_or_option_is_refused(explainer, batch):
    with pytest.raises(OptionError, match="'shapleycams' is unknown"):
        explainer.explain_each(batch, [0], "shapleycams")
    with pytest.raises(TypeError, match="node"):
        explainer.explain_each(batch, [0], node=4)


def test_a_classifier_is_not_asked_for_boxes(explainer, batch):
    with pytest.raises(TargetError, match="the model returns a Tensor; expected detections"):
        explainer.explain_each(batch, 2, utility=box())
