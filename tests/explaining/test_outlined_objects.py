"""Objects as players: masks, label maps, polygons and run lengths, and which of them earned the score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.run_lengths import compress_run_lengths
from shapleycam import Explainer, Preprocess, players_from_masks
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.named_regions import NamedRegions

LARGE, SMALL = np.zeros((4, 6), dtype=bool), np.zeros((4, 6), dtype=bool)
LARGE[:, :4], SMALL[1:3, 1:3] = True, True
UNITS = Preprocess(resize=(8, 8), crop=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)


def test_the_smaller_of_two_that_cover_a_pixel_has_it_and_the_rest_is_background():
    expected = torch.zeros(4, 6, dtype=torch.long)
    expected[:, :4] = 1
    expected[1:3, 1:3] = 2
    for masks in ([LARGE, SMALL], np.stack([LARGE, SMALL]), torch.tensor(np.stack([LARGE, SMALL])).int() * 255):
        players = players_from_masks(masks, ["table", "cup"])
        assert players.labels.equal(expected)
        assert players.names == ("background", "table", "cup")
    turned = players_from_masks([SMALL, LARGE])
    assert turned.labels.equal(torch.tensor([0, 2, 1])[expected])
    assert turned.names == ("background", "object 1", "object 2")


def test_a_label_map_as_voc_has_them():
    labels = np.array([[0, 15, 15, 255], [0, 255, 7, 7]], dtype=np.uint8)
    players = players_from_masks(labels, {15: "person", 7: "car"})
    assert players.labels.tolist() == [[0, 2, 2, 0], [0, 0, 1, 1]]
    assert players.names == ("background", "car", "person")


def test_coco_polygons_and_run_lengths_are_the_pixels_that_they_enclose():
    rectangle = [1, 1, 3, 1, 3, 3, 1, 3]  # pixels 1 and 2 of both axes
    as_polygon = {"segmentation": [rectangle], "category_id": 18}
    flat = SMALL.T.flatten().astype(int).tolist()
    counts, last = [0], 0
    for value in flat:
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    as_lengths = {"segmentation": {"counts": counts, "size": [4, 6]}, "category_id": 1}
    for annotation, name in ((as_polygon, "dog"), (as_lengths, "person")):
        players = players_from_masks([annotation], {18: "dog", 1: "person"}, size=(4, 6))
        assert players.names == ("background", name)
        assert players.labels.bool().equal(torch.from_numpy(SMALL))


@pytest.mark.parametrize("form", [str, str.encode])
def test_compressed_run_lengths(form):
    mask = torch.rand(40, 50, generator=torch.Generator().manual_seed(0)) < 0.02
    mask[5:30, 10:40] = True
    changes = torch.cat([torch.tensor([False]), mask.T.flatten()]).int().diff().nonzero().flatten().tolist()
    counts = np.diff([0, *changes, mask.numel()]).tolist()
    annotation = {"counts": form(compress_run_lengths(counts)), "size": [40, 50]}
    assert players_from_masks([annotation]).labels.bool().equal(mask)


def test_objects_with_one_name_are_numbered():
    first, second = np.zeros((2, 4), dtype=bool), np.zeros((2, 4), dtype=bool)
    first[:, 0], second[:, 3] = True, True
    assert players_from_masks([first, second], ["dog", "dog"]).names == ("background", "dog 1", "dog 2")
    assert players_from_masks([first], ["background"]).names == ("background", "background 1")


def test_masks_of_a_photograph_come_through_its_preprocessing():
    """600 x 400 pixels become 6 x 4 by the shorter side, of which the middle four columns are seen."""
    preprocess = Preprocess(resize=4, crop=(4, 4), mean=(0.0,) * 3, std=(1.0,) * 3)
    mask = np.zeros((400, 600), dtype=bool)
    mask[100:200, 200:400] = True
    labels = players_from_masks([mask], preprocess=preprocess).labels
    expected = torch.zeros(4, 4, dtype=torch.long)
    expected[1, 1:3] = 1
    assert labels.equal(expected)
    wide = Preprocess(resize=4, crop=(8, 4), mean=(0.0,) * 3, std=(1.0,) * 3)  # the crop is larger: its border is none
    assert players_from_masks([mask], preprocess=wide).labels[2:6].equal(expected)


def red_counter():
    """A model whose score is the sum of red over the pixels."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 1, 8, bias=False), torch.nn.Flatten())


def test_the_object_that_earned_the_score_has_it_by_name(tmp_path):
    model = red_counter()
    model[0].weight.data = torch.zeros(1, 3, 8, 8)
    model[0].weight.data[:, 0] = 1
    explainer = Explainer(model, layer="input", utility="value", preprocess=UNITS, device="cpu")
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[2:4, 2:6, 0], pixels[6:, :, 1] = 255, 255
    red, green = pixels[..., 0] > 0, pixels[..., 1] > 0
    players = players_from_masks([red, green], ["rose", "meadow"], preprocess=UNITS)
    explanation = explainer.explain(Image.fromarray(pixels), "exactshapley", players=players)
    found = {region.name: region.value for region in explanation.region_values()}
    assert found == pytest.approx({"rose": 8, "meadow": 0, "background": 0})
    path = tmp_path / "explanation.npz"
    explanation.save(path)
    assert Explanation.load(path).region_values()[0].name == "rose"


def test_regions_without_background_keep_their_names():
    players = NamedRegions(torch.ones(8, 8, dtype=torch.long).index_fill(0, torch.tensor([0, 1]), 2), ("-", "a", "b"))
    model = red_counter()
    model[0].weight.data = torch.ones(1, 3, 8, 8)
    explainer = Explainer(model, layer="input", utility="value", device="cpu")
    explanation = explainer.explain(torch.rand(1, 3, 8, 8), "exactshapley", players=players)
    assert explanation.region_names == ("a", "b")
    assert {region.name: region.area for region in explanation.region_values()} == {"a": 0.75, "b": 0.25}
    with pytest.raises(OptionError, match="named regions of one image, and 2 images were given"):
        explainer.explain(torch.rand(2, 3, 8, 8), "exactshapley", players=players)


@pytest.mark.parametrize(
    ("masks", "options", "message"),
    [
        ([], {}, "there are no masks"),
        ([np.zeros((2, 2))], {}, "mask 0 has no pixels"),
        ([np.ones(4)], {}, r"mask 0 has shape \(4,\); expected \(H, W\)"),
        ([np.ones((2, 2)), np.ones((3, 2))], {}, r"masks have sizes \(2, 2\) and \(3, 2\)"),
        ([np.ones((2, 2)), np.ones((2, 2))], {}, r"mask 0 \(object 1\) is covered by smaller masks"),
        (np.zeros((2, 2)), {}, "of torch.float64; expected a label map"),
        (np.zeros((2, 2), dtype=int), {}, "there are no masks"),
        ([LARGE], {"names": ["a", "b"]}, "names are 2 names for 1 objects"),
        ([LARGE], {"names": "cat"}, "names are one text for 1 objects"),
        (np.full((2, 2), 3), {"names": {1: "cat"}}, r"names have none for 3; expected one for each of \[3\]"),
        ([{"segmentation": [[0, 0, 1, 1, 2, 0]]}], {}, "mask 0 has polygons; expected the photograph's size="),
        ([{"segmentation": [[0, 0, 1]]}], {"size": (4, 4)}, r"mask 0 has polygons \[\[0, 0, 1\]\]; expected"),
        ([{"segmentation": [0, 0, 1, 1, 2, 0]}], {"size": (4, 4)}, r"mask 0 has polygons \[0, 0, 1, 1, 2, 0\]"),
        ([{"bbox": [0, 0, 1, 1]}], {}, "mask 0 is a mapping without polygons or run lengths"),
        ([{"counts": [1, 2], "size": [2, 2]}], {}, "that are not 2 x 2 pixels"),
        ([{"counts": "Z", "size": [2, 2]}], {}, "mask 0 has run lengths"),
        ([{"counts": [0.5, 3.5], "size": [2, 2]}], {}, "mask 0 has run lengths"),
        ([{"counts": [0, 4], "size": 4}], {}, "mask 0 has run lengths"),
        ([{"segmentation": [[0, 0, 1, float("nan"), 1, 1]]}], {"size": (2, 2)}, "mask 0 has polygons"),
        ([LARGE], {"preprocess": lambda photo: photo}, "preprocess is a function, whose crop is not known"),
    ],
)
def test_what_is_no_mask_is_refused(masks, options, message):
    with pytest.raises(OptionError, match=message):
        players_from_masks(masks, **options)


def test_an_object_outside_of_the_crop_is_refused():
    mask = np.zeros((400, 600), dtype=bool)
    mask[:, :20] = True
    preprocess = Preprocess(resize=4, crop=(4, 4), mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(OptionError, match=r"mask 0 \(dog\) lies outside of what the network sees"):
        players_from_masks([mask], ["dog"], preprocess=preprocess)


@pytest.mark.parametrize(
    "mask",
    [
        np.where(LARGE, 0.9, 0.2),
        np.where(LARGE, 1.0, np.nan),
        np.where(SMALL, 2, LARGE),
        np.full((4, 6), np.inf),
    ],
    ids=["probabilities", "NaN", "a label map", "infinity"],
)
def test_a_mask_that_is_not_binary_is_refused(mask):
    for masks in ([mask], [SMALL, mask], np.stack([LARGE, mask])):
        with pytest.raises(OptionError, match=r"mask \d holds .*; expected 0 and one other number"):
            players_from_masks(masks)
