"""Boxes of detectors: chosen once and held, against values worked out by hand; their places in the photograph."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

import shapleycam
from helpers.detectors import ChoosingForObjectDetection, DetectionModel, cell_detector
from shapleycam import Detector, Preprocess
from shapleycam.errors import ImageError, ModelError, OptionError, TargetError
from shapleycam.models.detectors.letterbox import Letterbox
from shapleycam.models.detectors.torchvision_preprocess import TorchvisionDetection
from shapleycam.values.options import EstimatorOptions

LABELS = ("nothing", "pair")


def sigma(z: float) -> float:
    return 1 / (1 + exp(-z))


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Boxes of 16 pixels, scored by twice the brightness of a cell and its right neighbour, minus 3."""
    return Detector(cell_detector(64), layer="backbone.cells", labels=LABELS)


@pytest.fixture
def image() -> torch.Tensor:
    """Two pairs of bright cells: (1, 1/2) in the first row and (0.9, 0.4) in the third."""
    pixels = torch.zeros(3, 64, 96)
    pixels[:, :16, 16:32], pixels[:, :16, 32:48] = 1, 0.5
    pixels[:, 32:48, 48:64], pixels[:, 32:48, 64:80] = 0.9, 0.4
    return pixels


def grid(rows: int, columns: int, values: dict[tuple[int, int], float]) -> torch.Tensor:
    cells = torch.zeros(1, rows, columns)
    for (row, column), value in values.items():
        cells[0, row, column] = value
    return cells


PAIRS = {0: ((0, 1), (0, 2), 1.0, 0.5), 1: ((2, 3), (2, 4), 0.9, 0.4)}
"""Of the two best boxes the cells that score them, and their brightness."""


@pytest.mark.parametrize("number", PAIRS)
def test_the_values_of_a_box_are_those_of_its_own_cells(detector, image, number):
    first, second, a, b = PAIRS[number]
    full = 2 * (a + b) - 3
    assert detector.detect(image)[number].score == pytest.approx(sigma(full), abs=1e-6)
    slope = sigma(full) * (1 - sigma(full))
    e = detector.explain(image, number, "hirescam")
    torch.testing.assert_close(e.values, grid(4, 6, {first: slope * 2 * a, second: slope * 2 * b}))
    # Two players: the mean of what each adds to nothing and to the other. The brighter pair does not step in.
    alone = {first: sigma(2 * a - 3), second: sigma(2 * b - 3)}
    nothing, both = sigma(-3), sigma(full)
    shares = {
        first: (alone[first] - nothing + both - alone[second]) / 2,
        second: (alone[second] - nothing + both - alone[first]) / 2,
    }
    sampled = detector.explain(image, number, "sampledshapley").values
    torch.testing.assert_close(sampled, grid(4, 6, shares), rtol=0.05, atol=1e-4)
    assert float(sampled.sum()) == pytest.approx(both - nothing, abs=1e-5)


def test_a_box_is_chosen_by_corners_by_class_and_as_detected(detector, image):
    second = detector.detect(image)[1]
    near = tuple(edge + 1 for edge in second.box)
    chosen = detector.choose(image, near)
    assert chosen.anchor.equal(second.anchor)
    assert chosen.overlap == pytest.approx(15 * 15 / (2 * 256 - 225))
    assert detector.choose(image, second) == second
    assert detector.choose(image).number == detector.choose(image, target="pair").number == 0
    other = detector.choose(image, 1, target="nothing")  # of the same anchor: 9 below in logits
    assert (other.label, other.score) == ("nothing", pytest.approx(sigma(-0.4 - 9), abs=1e-6))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (999, r"box 999 was asked for, and the detector finds 48; expected a number from 0 to 47"),
        (-1, "box -1 was asked for"),
        (True, "the box is True; expected the number of a box, or"),
        ((5, 5, 1, 9), "left < right and top < bottom"),
        ((0, 0, float("nan"), 1), "expected the number of a box"),
        ((500, 500, 600, 600), "none of the 48 boxes that the detector finds overlaps"),
        ("1234", "the box is '1234'; expected the number of a box"),  # no corners (1, 2, 3, 4)
        ({0: 1, 1: 2, 30: 3, 40: 4}, "expected the number of a box"),
        (torch.tensor([[0.0, 0.0, 16.0, 16.0]]), "expected the number of a box"),
        ((0, 0, 10**400, 16), "expected the number of a box"),
    ],
)
def test_what_is_no_box_of_the_image_is_refused(detector, image, box, message):
    with pytest.raises((OptionError, TargetError), match=message) as refused:
        detector.choose(image, box)
    assert "\n" not in str(refused.value)


def test_a_detection_of_another_image_is_refused(detector, image):
    best = detector.detect(image)[0]
    with pytest.raises(ModelError, match=r"box 0 has the score 0.5, and 0.04743 is read at its anchor in image"):
        detector.explain(image.flip(2), best)
    with pytest.raises(ModelError, match="is of an image of 96 x 64 pixels, and image has 64 x 64; expected one that"):
        detector.explain(image[..., :64], best)
    for anchor in ([[9999]], [[0.0, 0.0, 16.0, 16.0]]):  # of a detector with more anchors, of an R-CNN
        with pytest.raises(ModelError, match=r"box 0 cannot be read in image at its anchor .* expected one that this"):
            detector.explain(image, replace(best, anchor=torch.tensor(anchor)))
    with pytest.raises(TargetError, match="class 7 is out of range"):
        detector.explain(image, replace(best, target=7))


@pytest.mark.parametrize("number", [np.int64(1), torch.tensor(1)])
def test_a_number_of_any_integer_type_is_the_number_of_a_box(detector, image, number):
    assert detector.choose(image, number) == detector.detect(image)[1]


@pytest.mark.parametrize("target", [1.0, [1], "", torch.tensor(1.0)])
def test_what_is_no_class_is_refused(detector, image, target):
    for box in (None, 0):
        with pytest.raises(TargetError, match=r"expected a class number or label|is not among the model's 2 labels"):
            detector.choose(image, box, target)


def test_mirrored_images_are_refused_and_noisy_ones_are_of_the_same_box(detector, image):
    with pytest.raises(OptionError, match="where the box is at another place; use smooth='noise'"):
        detector.compare(image, ["hirescam"], smooth="augment")
    noisy = detector.compare(image, ["hirescam"], 0, smooth="noise")["hirescam"].values
    assert float(noisy[0, 0, 1:3].sum()) == pytest.approx(float(noisy.sum()), abs=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(2, 3, 64, 64), "expected one image"),
        (torch.zeros(3, 64, 64, dtype=torch.uint8), "expected one image"),
        (torch.full((3, 64, 64), 2.0), r"from 2 to 2; expected pixels in \[0, 1\]"),
        ([torch.zeros(3, 8, 8)] * 2, "2 images were given; expected one, since each has boxes of its own"),
        (torch.zeros(4, 64, 64), r"an image of 4 channels; expected 3, in a tensor \(c, h, w\)"),
        (torch.zeros(64, 64, 3), "an image of 64 channels"),
        (torch.zeros(3, 64, 64, device="meta"), r"no numbers \(device meta\)"),
        (torch.zeros(3, 64, 64).to_sparse(), "layout torch.sparse_coo"),
        (torch.zeros(3, 2000, 1), "1 x 2000 pixels has no pixel left on its shorter side .* longer one to 1000"),
    ],
)
def test_other_images_are_refused(detector, given, message):
    with pytest.raises(ImageError, match=message):
        detector.detect(given)


def test_nothing_found_is_said(image):
    model = cell_detector(64)
    model.score_thresh = 0.9
    with pytest.raises(TargetError, match="the detector finds nothing in image; lower its score threshold"):
        Detector(model).choose(image)


def test_what_is_no_detector_is_refused():
    with pytest.raises(ModelError, match="the model is of class Linear; expected a detector: one of torchvision"):
        Detector(torch.nn.Linear(2, 2))


def test_labels_for_another_number_of_classes_are_refused(image):
    detector = Detector(cell_detector(64), labels=["pair"])
    for of in (detector.choose, detector.detect):  # which would name the boxes wrongly
        with pytest.raises(OptionError, match="labels given: 1, classes that the detector scores: 2"):
            of(image)


def test_a_transform_of_another_class_is_refused_since_it_may_resize_in_another_way(image):
    class WithoutResizing(GeneralizedRCNNTransform):
        def resize(self, image, target=None):
            return image, target

    model = cell_detector(32)
    model.transform = WithoutResizing(32, 1000, [0.0] * 3, [1.0] * 3).eval()
    with pytest.raises(ModelError, match=r"transform is a WithoutResizing; .*: give preprocess=, a function from an"):
        Detector(model)
    (own,) = model([image])
    photo = Image.fromarray(np.zeros((64, 96, 3), np.uint8))
    found = Detector(model, preprocess=lambda _: image).detect(photo)
    torch.testing.assert_close(torch.tensor([each.box for each in found]), own["boxes"])


def replace_normalize(transform: GeneralizedRCNNTransform) -> None:
    transform.normalize = lambda image: image * 2


def replace_resize(transform: GeneralizedRCNNTransform) -> None:
    transform.resize = lambda image, target=None: (image, target)


def hook(transform: GeneralizedRCNNTransform) -> None:
    transform.register_forward_pre_hook(lambda _, inputs: ([1 - image for image in inputs[0]],))


@pytest.mark.parametrize("change", [replace_normalize, replace_resize, hook])
def test_a_transform_that_does_not_do_what_its_settings_say_is_refused(image, change):
    """Its settings alone would make other pixels than the detector's own, and so other boxes and scores."""
    model = cell_detector(32)
    change(model.transform)
    with pytest.raises(
        ModelError, match=r"transform makes an input of shape .*: it has a hook, or a method of yours; "
    ):
        Detector(model)
    (own,) = model([image])
    prepared = model.transform([image])[0].tensors[0]
    found = Detector(model, preprocess=lambda _: prepared).detect(Image.new("RGB", (96, 64)))
    torch.testing.assert_close(torch.tensor([each.score for each in found]), own["scores"])


def test_a_transform_in_train_mode_is_tried_as_the_explanation_runs_it_and_stays(image):
    model = cell_detector(64).train()
    Detector(model)
    assert model.transform.training


def test_errors_of_the_detector_are_told_as_those_of_a_model():
    with pytest.raises(ModelError, match=r"the model raised .*; expected images that it can take"):
        Detector(DetectionModel().eval()).detect(torch.zeros(3, 4, 4))


def test_pixels_in_255_are_refused_for_a_detector_of_ultralytics():
    with pytest.raises(ImageError, match=r"from 0 to 255; expected pixels in \[0, 1\]"):
        Detector(DetectionModel().eval()).detect(torch.tensor([0.0, 255.0]).repeat(3, 32, 16))


def test_a_picture_of_other_proportions_than_the_image_is_not_drawn_into(detector, image):
    detection = detector.detect(image)[0]  # of 96 x 64 pixels
    assert detection.draw(Image.new("RGB", (47, 32))).size == (47, 32)
    with pytest.raises(OptionError, match=r"64 x 64 pixels, and the box lies in one of 96 x 64; .*overlay\(\)"):
        detection.draw(Image.new("RGB", (64, 64)))


def test_the_guest_is_left_as_it_was(image):
    model = cell_detector(64).train()
    transform = model.transform
    Detector(model, layer="backbone.cells").explain(image, 0, "hirescam")
    assert model.transform is transform
    assert all(module.training for module in model.modules())


# Places in the photograph


@pytest.mark.parametrize("size", [(100, 70), (70, 100), (333, 250), (64, 64), (1000, 90)])
def test_the_place_of_the_padded_input_is_what_torchvision_makes(size):
    model = cell_detector(96, longest=200)
    transform = TorchvisionDetection.of(model.transform)
    images, _ = model.transform([torch.zeros(3, size[1], size[0])])
    height, width = images.image_sizes[0]
    assert transform.inside(size) == (height, width)
    assert transform(Image.new("RGB", size)).shape == images.tensors[0].shape
    padded_height, padded_width = images.tensors.shape[-2:]
    expected = (0, 0, padded_width * size[0] / width, padded_height * size[1] / height)
    assert transform.box(size) == pytest.approx(expected)


def test_the_map_lies_over_the_cells_of_the_photograph():
    """70 x 100 pixels are doubled and padded from 140 x 200 to 160 x 224: a cell is 8 x 8 pixels of the photograph."""
    photo = Image.new("RGB", (100, 70))
    photo.paste("white", (40, 48, 48, 56))  # the cell in row 6, column 5
    detector = Detector(cell_detector(140), layer="backbone.cells", labels=LABELS)
    best = detector.detect(photo)[0]
    e = detector.explain(photo, best, "pathcam-h")
    assert e.values.shape == (1, 10, 14)
    assert divmod(int(e.values.argmax()), 14) == (6, 5)
    overlay = e.overlay(opacity=1.0)
    assert overlay.size == (100, 70)
    heat = torch.from_numpy(np.array(overlay)).float()
    redness = heat[..., 0] - heat[..., 2]
    row, column = divmod(int(redness.argmax()), 100)
    assert 47 <= row <= 56, row
    assert 39 <= column <= 48, column
    # A box is centred at the upper left corner of its cell, in torchvision; the best two are of this cell and the one
    # at its left.
    assert best.box in {(36, 44, 44, 52), (28, 44, 36, 52)}
    drawn = best.draw(overlay)
    assert drawn.getpixel((round(best.box[0]), 48)) == (255, 255, 255)


def test_a_letterbox_by_hand():
    letterbox = Letterbox.square(64)
    image = letterbox(Image.new("RGB", (200, 100), "white"))
    torch.testing.assert_close(image[:, 16:48], torch.ones(3, 32, 64))
    torch.testing.assert_close(image[:, :16], torch.full((3, 16, 64), 114 / 255))
    assert letterbox.box((200, 100)) == (0, -50, 200, 150)


# Other libraries' forms


def test_yolo_is_asked_of_an_anchor():
    detector = Detector(DetectionModel(), layer="model.0", preprocess=Letterbox.square(64))
    image = torch.full((3, 64, 64), 0.2)
    image[:, :16, 16:32] = 0.9
    best = detector.detect(image)[0]
    assert (best.label, best.box) == ("bright", (16, 0, 32, 16))
    assert best.score == pytest.approx(sigma(4 * 0.9 - 2), abs=1e-5)  # a mean of 256 float32 numbers
    e = detector.explain(image, best, "sampledshapley")
    torch.testing.assert_close(e.values, grid(4, 4, {(0, 1): sigma(1.6) - sigma(-2)}), rtol=1e-4, atol=1e-5)


def test_boxes_in_a_letterbox_are_told_in_the_photograph():
    photo = Image.new("RGB", (200, 100))
    photo.paste("white", (50, 0, 100, 50))  # in the letterbox of 64: (16, 16) to (32, 32)
    detector = Detector(DetectionModel(), layer="model.0", preprocess=Letterbox.square(64))
    best = detector.choose(photo, target="bright")
    assert best.box == pytest.approx((50, 0, 100, 50))
    assert best.size == (200, 100)
    assert detector.choose(photo, (55, 0, 105, 50), "bright").anchor.equal(best.anchor)


def test_queries_that_are_chosen_in_each_image_are_held_by_their_place():
    model = ChoosingForObjectDetection()
    detector = Detector(model, layer="features")
    image = torch.zeros(1, 16, 16)
    image[:, :, 8:12], image[:, :, :4], image[:, :, 12:] = 0.8, 0.5, 0.1
    first, second = detector.detect(image)
    assert (first.anchor.item(), second.anchor.item()) == (2, 0)
    scores = detector.model.scores_at
    darker = image.clone()
    darker[:, :, 8:12] = 0  # the place of the best box is chosen no more; the query of that number is of another place
    assert float(scores(darker[None], first.anchor)[0, 0]) == 0
    assert float(scores(darker[None], second.anchor)[0, 0]) == pytest.approx(sigma(1))
    e = detector.explain(image, first, "exactshapley", options=EstimatorOptions(players=(1, 4)))
    # Without its own column's content the place is one of several that are alike, of which the model takes any.
    share, others = float(e.values[0, :, 2].sum()), float(e.values[0].abs().sum() - e.values[0, :, 2].abs().sum())
    assert share > 2 * others
    assert float(e.utility[0]) == pytest.approx(sigma(1.6))


def test_where_a_photograph_lies_in_the_input_must_be_known_for_corners():
    model = ChoosingForObjectDetection()
    photo = Image.new("RGB", (32, 32), "grey")
    unknown = Detector(model, preprocess=lambda photo: torch.full((1, 16, 16), 0.5))
    with pytest.raises(OptionError, match="where the network's input lies in the photograph is not known; give the"):
        unknown.choose(photo, (0, 0, 4, 4))
    whole = Preprocess(resize=(16, 16), crop=(16, 16), mean=(0.0,), std=(1.0,))
    assert Detector(model, preprocess=whole).choose(photo, 0).size == (32, 32)
    with pytest.raises(ImageError, match="how this detector wants it is not known; give preprocess="):
        Detector(model).detect(photo)


def test_a_utility_of_classes_is_refused_for_a_detector(image):
    explainer = shapleycam.Explainer(cell_detector(64), layer="backbone.cells")
    with pytest.raises(ModelError, match=r"a list without a tensor of numbers; .* use shapleycam.Detector"):
        explainer.explain(image[None])
