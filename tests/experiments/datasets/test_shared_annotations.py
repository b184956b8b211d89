"""One annotation is of one photograph: two of one name in different folders do not share it."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from helpers.small_evaluations import run_evaluation
from shapleycam.errors import OptionError, RepeatedImageWarning
from shapleycam.experiments import Protocol
from shapleycam.experiments.datasets.annotations.opening import open_annotations

POINTING = Protocol(methods=("gradcam",), metrics=("relevance_mass",), objects="any")


def save(path, colour, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (32, 32), colour).save(path)


def masks(folder, *names):
    for name in names:
        save(folder / "masks" / name, 1, "L")
    return folder / "masks"


def coco(folder, *names):
    images = [{"id": place, "file_name": name, "width": 32, "height": 32} for place, name in enumerate(names)]
    objects = [{"image_id": place, "category_id": 1, "bbox": [2, 2, 9, 9]} for place in range(len(names))]
    path = folder / "objects.json"
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": [{"id": 1, "name": "ant"}]}))
    return path


def evaluate(folder, annotations):
    return run_evaluation(folder / "photos", folder / "run", None, POINTING, annotations=open_annotations(annotations))


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "photos/ant/1.png", (200, 30, 30))
    save(tmp_path / "photos/bee/1.png", (30, 30, 200))
    return tmp_path


@pytest.mark.parametrize("make", [masks, coco])
@pytest.mark.parametrize("names", [["1.png"], ["ant/1.png"]])
def test_two_photographs_of_one_name_are_refused(folder, make, names):
    with pytest.raises(OptionError, match=r"one annotation for the photographs ant/1.png and bee/1.png, found by the"):
        evaluate(folder, make(folder, *names))
    assert not (folder / "run").exists()


@pytest.mark.parametrize("make", [masks, coco])
def test_each_with_its_own_is_measured(folder, make):
    assert len(evaluate(folder, make(folder, "ant/1.png", "bee/1.png")).rows()) == 2


def test_a_photograph_in_the_folders_of_two_classes_has_one(folder):
    shutil.copy(folder / "photos/ant/1.png", folder / "photos/bee/1.png")
    with pytest.warns(RepeatedImageWarning):
        assert len(evaluate(folder, masks(folder, "1.png")).rows()) == 2
