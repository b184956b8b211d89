"""Every question against a value and a gradient worked out by hand, and asked of networks, image by image."""

from __future__ import annotations

from math import exp, log

import pytest
import torch
from torch import nn

from helpers.lazy_modules import LazyModule
from helpers.networks import Toy
from helpers.table_rows import OF_EXCLUSIVE_CLASSES
from shapleycam import Explainer, utilities, values
from shapleycam.errors import OptionError, TargetError

transformers = LazyModule("transformers")

Z = torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.float64)
P = Z.softmax(1)[0]
LABELS = ("cat", "dog", "bird")


def value_and_gradient(utility, output, target, labels=None):
    """Return the utility's value and its gradient by the output, as a game needs them."""
    leaf = output.clone().requires_grad_()
    target = torch.as_tensor(target).reshape(-1)
    value = utility.with_image_data(leaf, target, labels)(leaf, target)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def assert_close(actual, expected):
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=1e-6, atol=1e-9)


def sigma(z):
    return 1 / (1 + exp(-z))


# Why A and not B


@pytest.mark.parametrize(
    ("utility", "value", "slope"),
    [
        ("logit", 2.0, 1.0),
        ("log_probability", -log(1 + exp(-2)), 1 - sigma(2)),
        ("probability", sigma(2), sigma(2) * (1 - sigma(2))),
        ("rest", 2 - log(1 + exp(-2)), 2 - sigma(2)),
    ],
)
def test_contrast_is_of_the_difference_of_two_scores(utility, value, slope):
    actual, gradient = value_and_gradient(utilities.contrast(0, utility), Z, 1)
    assert_close(actual, [value])
    assert_close(gradient, [[-slope, slope, 0]])


def test_contrast_is_the_log_odds_of_the_two():
    actual, _ = value_and_gradient(utilities.contrast("cat"), Z, 2, LABELS)
    assert_close(actual, [float(P[2].log() - P[0].log())])


def test_contrast_of_one_logit_is_that_logit():
    actual, gradient = value_and_gradient(utilities.contrast(0), torch.tensor([[0.7]], dtype=torch.float64), 1)
    assert_close(actual, [0.7])
    assert_close(gradient, [[1.0]])


def test_contrast_with_itself_or_with_an_unknown_class_is_refused():
    with pytest.raises(TargetError, match="class 1 was to be explained against itself; give another target"):
        value_and_gradient(utilities.contrast(1), Z, 1)
    with pytest.raises(TargetError, match="class 3 is out of range"):
        value_and_gradient(utilities.contrast(3), Z, 1)
    with pytest.raises(TargetError, match="'horse' is not among the model's 3 labels"):
        value_and_gradient(utilities.contrast("horse"), Z, 1, LABELS)
    with pytest.raises(OptionError, match="utility 'odds' is unknown"):
        utilities.contrast(1, "odds")


# One of several


def test_the_probability_of_a_set_is_the_sum_of_its_members():
    actual, gradient = value_and_gradient(utilities.any_of([0, 2], "probability"), Z, 2)
    share = float(P[0] + P[2])
    assert_close(actual, [share])
    assert_close(gradient, [[float(P[0]) * (1 - share), -float(P[1]) * share, float(P[2]) * (1 - share)]])


@pytest.mark.parametrize("utility", OF_EXCLUSIVE_CLASSES)
def test_a_set_of_one_is_that_class(utility):
    target = torch.tensor([1])
    expected = utilities.UTILITIES[utility](Z, target)
    assert_close(value_and_gradient(utilities.any_of([1], utility), Z, 1)[0], expected)


def test_rest_of_a_set_is_its_merged_logit_and_log_probability():
    together = log(exp(1) + exp(2))
    assert_close(
        value_and_gradient(utilities.any_of(["cat", "bird"]), Z, 2, LABELS)[0], [together + log(float(P[0] + P[2]))]
    )


def test_the_target_of_a_set_is_its_likeliest_member():
    scores = utilities.any_of([0, 2]).scores(Z, None)
    assert int(scores.argmax()) == 2


@pytest.mark.parametrize("classes", [[], "cat"])
def test_what_is_no_set_is_refused(classes):
    with pytest.raises(OptionError, match="expected a list of class numbers or labels"):
        utilities.any_of(classes)


# One logit


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.parametrize(
    ("utility", "of"),
    [
        ("logit", lambda z: z),
        ("probability", sigma),
        ("log_probability", lambda z: log(sigma(z))),
        ("rest", lambda z: z + log(sigma(z))),
        ("log_odds", lambda z: z),
    ],
)
def test_one_logit_is_that_of_yes_and_its_negative_that_of_no(utility, of, shape):
    z = torch.full(shape, 0.7, dtype=torch.float64)
    for target, signed in ((1, 0.7), (0, -0.7)):
        assert_close(utilities.UTILITIES[utility](z, torch.tensor([target])), [of(signed)])


def test_the_gradients_of_one_logit():
    z = torch.tensor([[0.7]], dtype=torch.float64)
    assert_close(value_and_gradient(utilities.UTILITIES["rest"], z, 1)[1], [[1 + 1 - sigma(0.7)]])
    assert_close(value_and_gradient(utilities.UTILITIES["rest"], z, 0)[1], [[-(1 + 1 - sigma(-0.7))]])


def test_a_binary_model_predicts_yes_or_no():
    model = Toy(lambda a: a.flatten(1).sum(1))
    image = torch.tensor([[[1.0, 2.0], [3.0, 0.5]]])
    images = torch.stack([image, -image])
    e = Explainer(model, layer="features", labels=("no", "yes")).explain(images, "hirescam", utility="logit")
    assert [e.label(0), e.label(1)] == ["yes", "no"]
    assert e.utility.tolist() == [6.5, 6.5]
    assert_close(e.values.double(), [[[1, 2], [3, 0.5]]] * 2)  # each cell speaks for what is said
    assert_close(e.probabilities(0).double(), torch.tensor([sigma(-6.5), sigma(6.5)]).double())


# Regression


def test_a_regression_is_explained_as_it_is():
    model = Toy(lambda a: (a * torch.tensor([[1.0, -2.0], [3.0, 0.5]])).flatten(1).sum(1) - 7)
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    e = Explainer(model, layer="features", utility="value").explain(image, "hirescam")
    assert_close(e.utility.double(), [1 - 4 + 9 + 2 - 7])
    assert_close(e.values.double(), [[[1, -4], [9, 2]]])
    assert e.probabilities() is None


def test_of_several_numbers_one_must_be_chosen():
    model = Toy(lambda a: a.flatten(1))
    image = torch.tensor([[[[1.0, 2.0]]]])
    explainer = Explainer(model, layer="features", utility="value")
    with pytest.raises(TargetError, match="utility 'value' is of one of 2 numbers; say which with target="):
        explainer.explain(image, "hirescam")
    assert_close(explainer.explain(image, "hirescam", target=1).values.double(), [[[0, 2]]])


# Alike


def test_similarity_is_a_cosine():
    y, e = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64)
    actual, gradient = value_and_gradient(utilities.similarity(e), y, 0)
    assert_close(actual, [0.6])
    assert_close(gradient, [[1 / 5 - 9 / 125, -12 / 125]])  # e/|y| - (e·y) y/|y|³


def test_an_image_is_most_like_itself_and_each_has_its_own_embedding():
    model = Toy(lambda a: a.flatten(1))
    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    explainer = Explainer(model, layer="features")
    itself = utilities.similarity(explainer.output(images))
    e = explainer.explain(images, "sampledshapley", utility=itself)
    assert_close(e.utility.double(), [1, 1, 1])
    second = explainer.explain(
        images[1:2], "sampledshapley", utility=utilities.similarity(explainer.output(images[1:2]))
    )
    torch.testing.assert_close(e.values[1:2], second.values)


@pytest.mark.parametrize("embedding", [torch.zeros(2, 2, 2), torch.zeros(2, dtype=torch.long), [1.0]])
def test_what_is_no_embedding_is_refused(embedding):
    with pytest.raises(OptionError, match="expected a float tensor"):
        utilities.similarity(embedding)


def test_an_embedding_of_another_length_and_a_class_are_refused():
    explainer = Explainer(Toy(lambda a: a.flatten(1)), layer="features")
    with pytest.raises(OptionError, match="the embedding has 3 numbers, the model's output 4"):
        explainer.explain(torch.ones(1, 1, 2, 2), utility=utilities.similarity(torch.ones(3)))
    with pytest.raises(TargetError, match="utility 'similarity' has no classes here; leave it out"):
        explainer.explain(torch.ones(1, 1, 2, 2), target=3, utility=utilities.similarity(torch.ones(4)))
    with pytest.raises(OptionError, match="data for 2 images, and 1 are explained"):
        explainer.explain(torch.ones(1, 1, 2, 2), utility=utilities.similarity(torch.ones(2, 4)))


# Segmentation

PIXELS = torch.tensor([[[[1.0, 0.0], [4.0, 0.0]], [[0.0, 2.0], [0.0, 3.0]]]], dtype=torch.float64)
"""(1, 2, 2, 2): class 0 is seen on the left, class 1 on the right."""


def test_inside_is_the_mean_over_the_mask():
    mask = torch.tensor([[True, True], [False, False]])
    actual, gradient = value_and_gradient(utilities.inside(mask, "logit"), PIXELS, 0)
    assert_close(actual, [(1 + 0) / 2])
    assert_close(gradient, [[[[0.5, 0.5], [0, 0]], [[0, 0], [0, 0]]]])
    p, q = sigma(1), sigma(-2)  # of class 0 against class 1 at the two pixels
    assert_close(value_and_gradient(utilities.inside(mask, "probability"), PIXELS, 0)[0], [(p + q) / 2])


def test_without_a_mask_it_is_asked_where_the_class_is_seen():
    assert_close(value_and_gradient(utilities.inside(None, "logit"), PIXELS, 0)[0], [(1 + 4) / 2])
    assert_close(value_and_gradient(utilities.inside(None, "logit"), PIXELS, 1)[0], [(2 + 3) / 2])


def test_a_mask_of_another_size_is_fitted_to_the_output():
    large = torch.zeros(8, 8)
    large[:4, :4] = 1  # the first pixel
    large[4:, :2] = 1  # half of the third
    assert_close(value_and_gradient(utilities.inside(large, "logit"), PIXELS, 0)[0], [(1 * 1 + 0.5 * 4) / 1.5])


def test_the_target_is_what_is_seen_most():
    assert int(utilities.inside([[0, 1], [0, 0]]).scores(PIXELS, None).argmax()) == 1
    more = PIXELS.clone()
    more[0, 0, 0, 1] = 5
    assert int(utilities.inside().scores(more, None).argmax()) == 0


def test_segmentation_with_one_logit_has_the_classes_no_and_yes():
    z = torch.tensor([[[[1.0, -2.0]]]], dtype=torch.float64)
    assert_close(value_and_gradient(utilities.inside([[1, 1]], "probability"), z, 1)[0], [(sigma(1) + sigma(-2)) / 2])
    assert_close(value_and_gradient(utilities.inside(None, "logit"), z, 0)[0], [2.0])  # where no is seen


def test_masks_follow_their_images_into_coalitions():
    model = Toy(lambda a: torch.cat([a, -a], 1))
    images = torch.arange(12.0).reshape(3, 1, 2, 2) + 1
    masks = torch.eye(4, dtype=torch.bool).reshape(4, 2, 2)[:3]
    game = Explainer(model, layer="features").game(images, target=0, utility=utilities.inside(masks, "logit"))
    assert_close(game.full.double(), [1, 6, 11])
    alone = torch.eye(4, dtype=torch.bool)
    assert_close(game.value(alone, images=[2, 0]).double(), [[0, 0, 11, 0], [1, 0, 0, 0]])
    assert_close(values.permutation(game).values.double(), [[1, 0, 0, 0], [0, 6, 0, 0], [0, 0, 11, 0]])
    assert_close(values.path(game).values.double(), [[1, 0, 0, 0], [0, 6, 0, 0], [0, 0, 11, 0]])


@pytest.mark.parametrize(
    ("mask", "message"),
    [(torch.zeros(2, 2), "the mask is empty"), (torch.ones(4), r"the mask has shape \(4,\); expected \(H, W\)")],
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(OptionError, match=message):
        utilities.inside(mask)


def test_a_class_that_is_nowhere_and_an_output_without_pixels_are_refused():
    pixels = PIXELS.flip(1).clamp(max=1) * torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1)
    with pytest.raises(TargetError, match="the model sees class 1 nowhere in image 0; give a mask"):
        value_and_gradient(utilities.inside(), pixels, 1)
    with pytest.raises(TargetError, match=r"has shape \(1, 3\); expected the class scores of pixels"):
        value_and_gradient(utilities.inside([[1]]), Z, 1)


# Detection

FOUND = {
    "boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [0.0, 0.0, 4.0, 4.0]]),
    "labels": torch.tensor([1, 1, 2]),
    "scores": torch.tensor([0.5, 0.9, 0.7]),
}


def test_the_score_of_a_box_is_the_best_of_score_times_overlap():
    utility = utilities.box((0, 0, 4, 4))
    target = torch.tensor([1])
    value = utility.with_image_data([FOUND], target, None)([FOUND], target)
    assert_close(value.double(), [max(0.5 * 1, 0.9 * 8 / 24)])  # the second shares 2 x 4 of 24
    moved = utilities.box((2, 0, 6, 4))
    assert_close(moved.with_image_data([FOUND], target, None)([FOUND], target).double(), [0.9])


def test_without_a_box_it_is_that_of_the_best_detection():
    scores = utilities.box().scores([FOUND], None)
    assert_close(scores.double(), [[0, 0.9, 0.7]])
    target = torch.tensor([2])
    settled = utilities.box().with_image_data([FOUND], target, None)
    assert settled.image_data.tolist() == [[0, 0, 4, 4]]
    assert_close(settled([FOUND], target).double(), [0.7])


def test_coalitions_without_a_detection_are_worth_nothing():
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)}
    target = torch.tensor([1, 1])
    settled = utilities.box((0, 0, 4, 4)).with_image_data([FOUND, FOUND], target, None)
    assert_close(settled([FOUND, nothing], target).double(), [0.5, 0])
    with pytest.raises(TargetError, match="the model detects nothing in image 1; lower its score threshold"):
        utilities.box().scores([FOUND, nothing], None)


def test_the_output_of_detr_is_read_with_its_class_of_no_object():
    logits = torch.tensor([[[0.0, log(2), 0.0], [log(6), 0.0, 0.0]]])  # 1/4 1/2 1/4; 3/4 1/8 1/8
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.2, 0.2]]])
    output = transformers.models.detr.modeling_detr.DetrObjectDetectionOutput(logits=logits, pred_boxes=boxes)
    assert_close(utilities.box().scores(output, None).double(), [[3 / 4, 1 / 2]])
    target = torch.tensor([1])
    assert_close(
        utilities.box((0.4, 0.4, 0.6, 0.6)).with_image_data(output, target, None)(output, target).double(), [1 / 2]
    )


@pytest.mark.parametrize(
    "place",
    [
        (1, 2, 3), (4, 4, 0, 0), (), (0, 0, float("inf"), 4), "0 0 4 4", {}, [[0, 0, 1, 1], [0, 0, 1]], range(1, 9),
        [[0, 0], [4, 2]], (0, 0, 10**400, 1), 10**400,
    ],
)  # fmt: skip
def test_what_is_no_box_is_refused(place):
    with pytest.raises(OptionError, match="expected \\(left, top, right, bottom\\)"):
        utilities.box(place)


def test_an_output_without_detections_is_refused():
    with pytest.raises(TargetError, match="the model returns a Tensor; expected detections"):
        utilities.box().scores(Z, None)
    with pytest.raises(TargetError, match="detects no object of class 0 in image 0"):
        utilities.box().with_image_data([FOUND], torch.tensor([0]), None)


class Detector(nn.Module):
    """Two boxes a picture, the left and the right half, scored by how bright they are; as torchvision returns them."""

    def __init__(self):
        super().__init__()
        self.features = nn.MaxPool2d(1)

    def forward(self, x):
        halves = torch.stack([half.flatten(1).mean(1) for half in self.features(x).split(x.shape[-1] // 2, -1)], 1)
        size = x.shape[-1]
        boxes = torch.tensor([[0.0, 0.0, size / 2, size], [size / 2, 0.0, size, size]])
        return [{"boxes": boxes, "labels": torch.tensor([1, 1]), "scores": scores} for scores in halves]


def test_a_detectors_box_is_explained_by_what_is_in_it():
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    places = torch.tensor([[0.0, 0.0, 2.0, 4.0], [2.0, 0.0, 4.0, 4.0]])
    explanations = Explainer(Detector(), layer="features", utility=utilities.box(places)).compare(
        images, ["hirescam", "pathcam-h", "sampledshapley"], target=1
    )
    for e in explanations.values():
        assert e.output is None
        assert_close(e.values[0, :, :2].double(), images[0, 0, :, :2].double() / 8)
        assert_close(e.values[1, :, 2:].double(), images[1, 0, :, 2:].double() / 8)
        assert e.values[0, :, 2:].abs().max() < 1e-6


# Which question may hold another


def test_a_question_of_a_question_is_refused():
    with pytest.raises(OptionError, match="utility 'similarity' is a question of its own; expected one of rest"):
        utilities.contrast(1, utilities.similarity(torch.ones(3)))


def test_a_question_of_numbers_that_are_no_classes_is_refused():
    with pytest.raises(OptionError, match="utility 'value' is a question of its own; expected one of rest, logit"):
        utilities.contrast(1, "value")


def test_a_target_outside_the_set_and_a_set_of_all_are_refused():
    with pytest.raises(TargetError, match="a target outside the classes 0, 1 was given"):
        value_and_gradient(utilities.any_of([0, 1]), Z, 2)
    with pytest.raises(TargetError, match="classes 0, 1, 2 are all that the model has"):
        value_and_gradient(utilities.any_of([0, 1, 2]), Z, 2)


@pytest.mark.parametrize("utility", OF_EXCLUSIVE_CLASSES)
def test_a_set_of_one_of_a_model_with_one_logit_is_that_class(utility):
    z = torch.tensor([[0.7]], dtype=torch.float64)
    for target in (0, 1):
        expected = utilities.UTILITIES[utility](z, torch.tensor([target]))
        assert_close(value_and_gradient(utilities.any_of([target], utility), z, target)[0], expected)


def test_the_likeliest_of_a_set_are_no_more_than_the_set():
    model = Toy(lambda a: a.flatten(1))
    explainer = Explainer(model, layer="features", utility=utilities.any_of([1, 3]))
    explanations = explainer.explain_each(torch.tensor([[[[4.0, 1.0], [3.0, 2.0]]]]), 4, "hirescam")
    assert [int(e.target[0]) for e in explanations] == [3, 1]


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_masks_than_images_is_refused(count):
    masks = torch.ones(2, 2, 2)
    explainer = Explainer(Toy(lambda a: torch.cat([a, -a], 1)), layer="features", utility=utilities.inside(masks))
    with pytest.raises(OptionError, match=f"data for 2 images, and {count} are explained"):
        explainer.explain(torch.rand(count, 1, 2, 2))


def test_the_class_of_pixels_with_one_logit_is_that_of_their_mean_probability():
    z = torch.tensor([[[[10.0, -1.0, -1.0]]]], dtype=torch.float64)  # (1 + 0.27 + 0.27) / 3 is more than a half
    assert int(utilities.inside([[1, 1, 1]]).scores(z, None).argmax()) == 1


def test_a_mask_finer_one_way_and_coarser_the_other_is_fitted():
    mask = torch.zeros(6, 1)
    mask[0] = 1  # half of the first row of pixels
    z = torch.arange(9.0, dtype=torch.float64).reshape(1, 1, 3, 3)
    assert_close(value_and_gradient(utilities.inside(mask, "logit"), torch.cat([z, -z], 1), 0)[0], [(0 + 1 + 2) / 3])


def test_a_wrong_box_is_refused_in_one_line():
    with pytest.raises(OptionError) as refused:
        utilities.box(torch.tensor([[4.0, 4.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]))
    assert "\n" not in str(refused.value)


def test_similar_classes_are_those_with_the_nearest_scores_and_stay_the_same():
    utility = utilities.contrast_with_similar(2)
    logits, target = torch.tensor([[5.0, 9.0, 1.0, 6.0], [0.0, -torch.inf, 3.0, -torch.inf]]), torch.tensor([1, 0])
    of_images = utility.with_image_data(logits, target, None)
    # 9 - (5 + 6) / 2, and of the second image one class alone has a score.
    assert of_images(logits, target).tolist() == [3.5, -3.0]
    later = torch.tensor([[0.0, 1.0, 1.0, 0.0], [4.0, -torch.inf, 0.0, -torch.inf]])
    assert of_images(later, target).tolist() == [1.0, 4.0]
    assert of_images(later[:1], target[:1], torch.tensor([0])).tolist() == [1.0]


def test_of_a_single_logit_the_similar_class_is_the_other():
    logits, target = torch.tensor([[3.0], [3.0]]), torch.tensor([1, 0])
    of_images = utilities.contrast_with_similar().with_image_data(logits, target, None)
    assert of_images(logits, target).tolist() == [3.0, -3.0]


def test_similar_classes_that_there_are_not():
    with pytest.raises(OptionError, match="0 similar classes were asked for; expected 1 or more"):
        utilities.contrast_with_similar(0)
    logits, target = torch.tensor([[3.0, -torch.inf]]), torch.tensor([0])
    with pytest.raises(TargetError, match="no other class has a finite score to be compared with; expected a model of"):
        utilities.contrast_with_similar().with_image_data(logits, target, None)
