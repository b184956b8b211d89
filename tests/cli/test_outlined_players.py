"""`--players FILE`: which outlined object earned the score, of a network whose score is the red of its input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapleycam.cli.outlines import Outlines, outlines_of

RED = """
import torch
from torch import nn
import shapleycam


def red():
    model = nn.Sequential(nn.Conv2d(3, 2, 8, bias=False), nn.Flatten())
    model[0].weight.data = torch.zeros(2, 3, 8, 8)
    model[0].weight.data[0, 0] = 1
    preprocess = shapleycam.Preprocess(resize=8, crop=(8, 8), mean=(0.0,) * 3, std=(1.0,) * 3)
    return shapleycam.Network(model, preprocess=preprocess, labels=("red", "none"))


def by_function():
    return shapleycam.Network(red().model, preprocess=lambda photo: red().preprocess(photo), labels=("red", "none"))
"""
ROSE, CUP = (2, 1, 6, 3), (0, 6, 3, 8)
"""(left, top, right, bottom) on the photograph of 12 x 8 pixels, of which the middle eight columns are seen."""
ASKED = ("--layer", "input", "--method", "exactshapley", "--utility", "logit", "--target", "red", "--json", "--quiet")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the network, a photograph, and a second one whose rose has half of the red."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "red.py").write_text(RED)
    for name, brightness in (("a.png", 255), ("b.png", 51)):
        pixels = np.zeros((8, 12, 3), dtype=np.uint8)
        pixels[1:3, 2:6, 0] = brightness
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    mask = np.zeros((8, 12), dtype=np.uint8)
    for number, (left, top, right, bottom) in enumerate((ROSE, CUP), 3):
        mask[top:bottom, left:right] = number
    Image.fromarray(mask).save("mask.png")
    Image.fromarray(mask.T.copy()).save("turned.png")
    boxes = [{"image_id": 1, "category_id": kind, "bbox": _bbox(edges)} for kind, edges in ((1, ROSE), (2, CUP))]
    boxes += [{**box, "image_id": 2} for box in boxes] + [{"image_id": 2, "category_id": 2, "bbox": [11, 0, 1, 8]}]
    images = [
        {"id": number, "file_name": f"{name}.png", "width": 12, "height": 8} for number, name in ((1, "a"), (2, "b"))
    ]
    categories = [{"id": 1, "name": "rose"}, {"id": 2, "name": "cup"}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return tmp_path


def _bbox(edges):
    left, top, right, bottom = edges
    return [left, top, right - left, bottom - top]


def values_of(line):
    (explained,) = json.loads(line)["explained"]
    return {region["name"]: region["value"] for region in explained["regions"]["exactshapley"]}


def explain(run, photos, players, *options, model="red.py:red"):
    return run("explain", photos, "--model", model, *ASKED, "--players", players, "--out", "maps", *options)


def test_a_mask_names_objects_by_its_numbers(run, folder):
    """The rose has eight pixels of red 1, all in what the network sees: x from 2 to 10."""
    ran = explain(run, "photos/a.png", "mask.png")
    assert ran.code == 0, ran.err
    assert values_of(ran.out) == pytest.approx({"value 3": 8, "value 4": 0, "background": 0}, abs=1e-5)


def test_each_photograph_has_its_own_objects(run, folder):
    """The second photograph has a fifth of the red; its second cup, at the right edge, is not seen."""
    ran = explain(run, "photos", "coco.json")
    assert ran.code == 0, ran.err
    first, second = ran.out.splitlines()
    assert values_of(first) == pytest.approx({"rose": 8, "cup": 0, "background": 0}, abs=1e-5)
    assert values_of(second) == pytest.approx({"rose": 8 / 5, "cup": 0, "background": 0}, abs=1e-5)


def test_an_object_that_is_not_seen_is_left_out_and_said(run, folder):
    ran = run(
        "explain", "photos/b.png", "--model", "red.py:red", *ASKED[:-1], "--players", "coco.json", "--out", "maps"
    )
    assert "b.png: cup of coco.json is outside of what the network sees, and is left out" in ran.err


def test_one_mask_of_two_photographs_is_refused(run, folder):
    ran = explain(run, "photos", "mask.png")
    assert ran.code == 2
    assert "--players mask.png: one mask for 2 photographs; expected a folder of masks, each called as its" in ran.err


def test_photographs_of_one_name_are_refused(run, folder):
    (folder / "others").mkdir()
    (folder / "photos" / "b.png").rename(folder / "others" / "a.png")
    ran = run("explain", "photos", "others", "--model", "red.py:red", *ASKED, "--players", "coco.json", "--out", "maps")
    assert ran.code == 2
    assert "--players coco.json: 2 photographs are called 'a', and objects are found by that name; give one" in ran.err


def test_a_photograph_that_its_file_turns_upside_down(run, folder):
    """The rose is at the top of the stored pixels, and at the bottom of what people see: the mask may be of either."""
    exif = Image.Exif()
    exif[274] = 3
    Image.open("photos/a.png").save("photos/a.png", exif=exif)
    ran = explain(run, "photos/a.png", "mask.png")
    assert ran.code == 2
    assert "a photograph that its EXIF orientation (3) turns, and an annotation that fits it turned and" in ran.err


@pytest.mark.parametrize("command", ["compare", "interactions"])
def test_other_commands(command, run, folder):
    methods = ("--method", "exactshapley") if command == "compare" else ()
    ran = run(command, "photos/a.png", "--model", "red.py:red", "--layer", "input", *methods, "--players", "coco.json")
    assert ran.code == 0, ran.err
    assert command == "compare" or all(name in ran.out for name in ("rose", "cup", "background"))


@pytest.mark.parametrize(
    ("players", "model", "message"),
    [
        ("none.png", "red.py:red", "--players none.png: no such file; expected a PNG mask, a COCO .json"),
        ("turned.png", "red.py:red", "an annotation of 8 x 12 pixels for a photograph of 12 x 8"),
        ("mask.png", "red.py:by_function", "where the network's crop lies in a photograph is not known"),
        ("photos", "red.py:red", "a mask in colours"),
        ("empty.json", "red.py:red", "a.png: empty.json has no annotation of it"),
        ("3y3", "red.py:red", "--players 3y3: expected rows x columns, such as 3x3"),
    ],
)
def test_what_cannot_be_had_is_one_line(players, model, message, run, folder):
    (folder / "empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    ran = explain(run, "photos/a.png", players, model=model)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_objects_at_another_layer_are_refused(run, tiny, hopper, tmp_path):
    size = Image.open(hopper).size
    Image.new("L", size, 1).save(tmp_path / "all.png")
    ran = run("explain", hopper, "--model", tiny, "--method", "exactshapley", "--players", tmp_path / "all.png")
    assert ran.code == 2
    assert "and the layer has 4 x 4 cells; expected layer 'input'" in ran.err


def test_a_folder_may_be_called_as_regions_are(folder):
    for name in ("patches", "masks"):
        (folder / name).mkdir()
    assert [outlines_of(name) for name in ("patches", "Patches", "masks", "3x3")] == [
        *(None, None),
        Outlines(Path("masks")),
        None,
    ]


def test_a_command_of_many_photographs_says_what_it_takes(run, folder):
    ran = run("fidelity", "photos", "--model", "red.py:red", "--layer", "input", "--players", "coco.json")
    assert ran.code == 2
    assert "players 'coco.json' are unknown; expected 'superpixels'" in ran.err
