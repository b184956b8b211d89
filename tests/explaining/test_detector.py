"""Boxes of detectors: chosen once and held, against values worked out by hand; their places in the photograph."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
import torch
from PIL import Image

import shapleycam
from helpers.detectors import ChoosingForObjectDetection, DetectionModel, cell_detector
from shapleycam import Detector, Preprocess
from shapleycam.errors import ImageError, ModelError, OptionError, TargetError
from shapleycam.models.detectors.letterbox import Letterbox
from shapleycam.models.detectors.torchvision_preprocess import TorchvisionDetection

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
    ],
)
def test_what_is_no_box_of_the_image_is_refused(detector, image, box, message):
    with pytest.raises((OptionError, TargetError), match=message) as refused:
        detector.choose(image, box)
    assert "\n" not in str(refused.value)


def test_a_detection_of_another_image_is_refused(detector, image):
    best = detector.detect(image)[0]
    with pytest.raises(ModelError, match=r"box 0 has the score 0.5000, and 0.0474 is read at its anchor in image"):
        detector.explain(image.flip(2), best)


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
    with pytest.raises(OptionError, match="labels given: 1, classes that the detector scores: 2"):
        Detector(cell_detector(64), labels=["pair"]).choose(image)


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
    assert best.score == pytest.approx(sigma(4 * 0.9 - 2), abs=1e-6)
    e = detector.explain(image, best, "sampledshapley")
    torch.testing.assert_close(e.values, grid(4, 4, {(0, 1): sigma(1.6) - sigma(-2)}), rtol=1e-4, atol=1e-6)


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
    e = detector.explain(image, first, "sampledshapley")
    assert bool((e.values[0, :, 2] > 0).all())
    assert not bool(e.values[0, :, :2].any())


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


def test_a_utility_of_classes_is_refused_for_a_detector(detector, image):
    batch = detector.prepare(image)
    explainer = shapleycam.Explainer(detector.model, layer="detector.backbone.cells")
    with pytest.raises(ModelError, match="the model returns a dict of 2 tensors"):
        explainer.explain(batch.image[None], inputs={"anchors": torch.tensor([[0]])})
