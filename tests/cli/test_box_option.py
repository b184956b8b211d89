"""`--box` of `explain` and `compare`: the box, its class and its score; and one line for what is no box."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from helpers.detectors import cell_detector
from shapleycam import Detector, Explanation
from shapleycam.cli.boxes import outline
from shapleycam.cli.comparing import ComparePhotograph
from shapleycam.explanations.drawn_map import DrawnMap
from shapleycam.explanations.pictures import overlay
from shapleycam.values.options import EstimatorOptions

MINE = """
import sys
sys.path.insert(0, {tests!r})
from helpers.detectors import cell_detector
from shapleycam import Network

def network():
    return Network(cell_detector(64), labels=("nothing", "pair"))
"""
MODEL = ("--model", "mine.py:network", "--layer", "backbone.cells")


@pytest.fixture(autouse=True)
def _files(tmp_path):
    (tmp_path / "mine.py").write_text(MINE.format(tests=str(Path(__file__).parents[1])), encoding="utf-8")
    for name, size in (("photo.png", (192, 128)), ("tall.png", (128, 180))):
        photo = Image.new("RGB", size)
        photo.paste("white", (64, 32, 128, 64))  # it is halved: cells are 32 pixels of the photograph
        photo.save(tmp_path / name)


def test_the_box_its_class_and_score_are_printed(run):
    ran = run("explain", "photo.png", *MODEL, "--box", "0", "--save")
    assert ran.code == 0, ran.err
    assert "detected   box 0: pair, score 73.1%, at 48, 16, 80, 48" in ran.out  # 2 (1 + 1) - 3 = 1
    assert "explained  pair (class 1), box score 0.7311" in ran.out
    assert Path("photo_box0_pair-1_pathcam-h.png").is_file()
    e = Explanation.load("photo_box0_pair-1_pathcam-h.npz")
    assert {divmod(int(i), e.values.shape[2]) for i in e.values[0].flatten().topk(2).indices} == {(1, 2), (1, 3)}


def test_corners_are_in_the_photograph_and_sizes_may_differ(run):
    ran = run("explain", "photo.png", "tall.png", *MODEL, "--box", "48,16,80,48", "--json", "--method", "hirescam")
    assert ran.code == 0, ran.err
    first, second = map(json.loads, ran.out.splitlines())
    assert first["box"]["overlap"] == pytest.approx(1)
    assert first["box"]["corners"] == pytest.approx([48, 16, 80, 48])
    assert first["box"]["class"] == first["explained"][0]["class"] == 1
    assert second["image"] == "tall.png"


def test_the_map_is_drawn_over_the_network_input_too(run):
    ran = run("explain", "photo.png", *MODEL, "--box", "0", "--view", "input", "--target", "nothing")
    assert ran.code == 0, ran.err
    assert "box 0: nothing, score <0.1%" in ran.out


def test_methods_are_compared_for_one_box(run):
    compared = run("compare", "photo.png", *MODEL, "--box", "0", "--json", "--quiet")
    assert compared.code == 0, compared.err
    data = json.loads(compared.out)
    assert data["box"]["corners"] == pytest.approx([48, 16, 80, 48])
    assert (data["utility"], data["label"]) == ("box score", "pair")
    methods = [name for members in data["families"].values() for name in members]
    assert sorted(methods) == ["gradcam", "gradcam++", "hirescam", "layercam", "pathcam-h", "xgradcam"]
    assert data["file"] == "photo_box0_pair-1_compare.png"
    explained = json.loads(run("explain", "photo.png", *MODEL, "--box", "0", "--json", "--method", "hirescam").out)
    assert data["box"] == explained["box"]


@pytest.mark.parametrize(("ground", "scale"), [("input", 0.5), ("photo", 1)])
def test_the_outline_is_where_the_box_is(ground, scale, tmp_path):
    """The network's input has half of the photograph's pixels on each side; a line is drawn inside and on its edge."""
    detector = Detector(cell_detector(64), layer="backbone.cells")
    asked = ComparePhotograph(tmp_path / "photo.png", ["hirescam"], None, ())
    compared = asked.by_box(detector, detector.preprocess, (48, 16, 80, 48), EstimatorOptions())
    drawn = DrawnMap(on=ground)
    plain = overlay(compared.first, drawn)
    changed = ImageChops.difference(outline(compared.detection, compared.first, plain, ground), plain).getbbox()
    assert changed == tuple(int(edge * scale) + (side > 1) for side, edge in enumerate((48, 16, 80, 48)))
    figures = [each.draw(drawn, side_by_side=False) for each in (compared, replace(compared, detection=None))]
    left, top, right, bottom = ImageChops.difference(*figures).getbbox()
    assert right - left == bottom - top > 1  # enlarged with its panel, and square as before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--box", "one"), "--box one: expected the number of a box, from 0 on, or x0,y0,x1,y1"),
        (("--box", "1,2,3"), "--box 1,2,3: expected"),
        (("--box", "9,9,3,3"), "--box 9,9,3,3: expected"),
        (("--box", "999"), "photo.png: box 999 was asked for, and the detector finds"),
        (("--box", "0", "--target", "cat"), "class 'cat' is not among the model's 2 labels"),
        (("--box", "0", "--top", "2"), "--top 2 and --box 0 were both given"),
        (("--box", "0", "--utility", "logit"), "--utility logit and --box were both given"),
        (("--box", "0", "--against", "1"), "--against 1 and --box were both given"),
        (
            ("--box", "0", "--removal", "mean", "--reference", "tall.png"),
            "--reference tall.png and --box were both given; a box belongs to one photograph, and reference",
        ),
        (("--box", "0", "--smooth", "augment"), "where the box is at another place; use --smooth noise"),
        ((), "model 'mine.py:network' is a detector; explain one of its boxes: shapleycam explain PHOTO"),
    ],
)
def test_what_cannot_be_is_one_line(run, options, message):
    ran = run("explain", "photo.png", *MODEL, *options)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--box", "one"), "--box one: expected the number of a box, from 0 on, or x0,y0,x1,y1"),
        (("--box", "999"), "box 999 was asked for, and the detector finds"),
        (("--box", "0", "--utility", "logit"), "--utility logit and --box were both given"),
        (("--box", "0", "--smooth", "augment"), "where the box is at another place; use --smooth noise"),
        ((), "model 'mine.py:network' is a detector; explain one of its boxes: shapleycam explain PHOTO"),
    ],
)
def test_what_cannot_be_compared_is_one_line(run, options, message):
    ran = run("compare", "photo.png", *MODEL, *options)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err


def test_a_photograph_that_is_too_narrow_is_named(run):
    Image.new("RGB", (1, 3000)).save("thin.png")
    ran = run("explain", "thin.png", *MODEL, "--box", "0")
    assert ran.code == 2
    assert ran.err.strip().startswith("error: thin.png: an image of 1 x 3000 pixels has no pixel left on its shorter")


def test_a_classifier_has_no_boxes(run):
    ran = run("explain", "photo.png", "--box", "0")
    assert ran.code == 2
    assert "error: the model is of class EfficientNet; expected a detector" in ran.err


def test_a_saved_detector_of_transformers_is_explained(run, tmp_path):
    transformers = pytest.importorskip("transformers")
    from helpers.query_detectors import rt_detr

    rt_detr().save_pretrained(tmp_path / "detr")
    transformers.RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(tmp_path / "detr")
    options = ("--model", "hf:detr", "--layer", "last-conv", "--quiet", "--json")
    ran = run("explain", "photo.png", *options, "--box", "0", "--method", "hirescam")
    assert ran.code == 0, ran.err
    data = json.loads(ran.out)
    assert data["box"]["label"] in {"cat", "dog", "bird"}
    assert data["explained"][0]["label"] == data["box"]["label"]
    assert Path(data["files"][0]).is_file()


def test_a_classifier_of_transformers_has_no_boxes(run, tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(image_size=24, patch_size=6, **sizes)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    ran = run("explain", "photo.png", "--model", "hf:vit", "--box", "0")
    assert ran.code == 2
    message = ran.err.splitlines()[-1]  # behind the progress of transformers' own
    assert message.startswith("error: the model is of class ViTForImageClassification; expected a detector: one of")


def test_without_ultralytics_it_says_how_to_install_it(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    ran = run("explain", "photo.png", "--model", "ultralytics:yolov8n.yaml", "--box", "0")
    assert ran.code == 2
    assert ran.err.startswith("error: model 'ultralytics:yolov8n.yaml' needs ultralytics, which")
    assert ran.err.rstrip().endswith("pip install ultralytics (licence: AGPL-3.0)")
