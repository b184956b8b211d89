"""Mosaics of photographs that a network is sure of: which are taken, where they lie, and what is measured of them."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.four_colours import COLOURS, NETWORK, SIDE, colour_photographs
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol, RunSettings, evaluate, synthetic
from shapleycam.experiments.datasets.opening import open_dataset

HERE = RunSettings(workers=0)


@pytest.fixture
def photos(tmp_path):
    return colour_photographs(tmp_path / "photos")


def colour_of_cells(picture: Image.Image, cells: int = 2) -> list[str]:
    """Return the colour of each cell's middle, in reading order."""
    pixels, side = np.asarray(picture), picture.width // cells
    names = {colour: name for name, colour in COLOURS.items()}
    middles = [(side * row + side // 2, side * column + side // 2) for row in range(cells) for column in range(cells)]
    return [names[tuple(pixels[place].tolist())] for place in middles]


def test_each_cell_holds_the_photograph_of_its_class(photos):
    dataset = synthetic.mosaics(photos, NETWORK)
    assert len(dataset) == 3  # three photographs of each of four classes
    used = Counter(cell.photograph for members in dataset.members for cell in members)
    assert set(used.values()) == {1}
    for index, members in enumerate(dataset.members):
        picture = dataset.open(index)
        assert picture.size == (2 * SIDE, 2 * SIDE)
        assert colour_of_cells(picture) == [list(COLOURS)[cell.number] for cell in members]
        assert sorted(cell.number for cell in members) == [0, 1, 2, 3]


def test_what_is_asked_about_is_another_cell_each_time_and_its_region_is_there(photos):
    dataset = synthetic.mosaics(photos, NETWORK, count=5)
    assert [name[6:] for name in dataset.names] == [
        *("row1-column1", "row1-column2", "row2-column1", "row2-column2", "row1-column1")
    ]
    for index, (name, label) in enumerate(zip(dataset.names, dataset.labels, strict=True)):
        regions = dataset.annotations.regions_of(name)
        (asked,) = [region for region in regions if region.label == label]
        left, top, right, bottom = asked.box
        part = dataset.open(index).crop((left, top, right, bottom))
        assert part.getpixel((SIDE // 2, SIDE // 2)) == COLOURS[list(COLOURS)[label]]
        assert (top // SIDE) * 2 + left // SIDE == index % 4
    assert dataset.annotations.regions_of("another") is None


@pytest.mark.parametrize("method", ["hirescam", "pathcam-h", "sampledshapley"])
def test_all_evidence_of_a_colour_lies_in_its_cell(photos, tmp_path, method):
    """The logit is a mean over places, and the other cells have none of the colour."""
    dataset = synthetic.mosaics(photos, NETWORK, count=4)
    protocol = Protocol(("patches",), ("logit",), (method,), ("relevance_mass",), class_rule="label")
    rows = evaluate(NETWORK, dataset, tmp_path / "run", protocol, settings=HERE).rows()
    assert rows["status"].to_list() == ["ok"] * 4
    assert rows["target"].to_list() == list(dataset.labels)
    assert rows["relevance_mass"].to_list() == pytest.approx([1] * 4, abs=1e-4)


def test_the_network_sees_the_whole_mosaic_though_its_own_crop_would_cut_it(photos, tmp_path):
    cutting = replace(NETWORK, preprocess=replace(NETWORK.preprocess, resize=20))
    dataset = synthetic.mosaics(photos, cutting, cells=2, cell_size=(SIDE // 2, SIDE // 2))
    assert dataset.open(0).size == (SIDE, SIDE)
    protocol = Protocol(("patches",), ("logit",), ("hirescam",), ("relevance_mass",), class_rule="label")
    store = evaluate(cutting, dataset, tmp_path / "run", protocol, settings=HERE)
    assert store.rows()["relevance_mass"].to_list() == pytest.approx([1] * 3, abs=1e-4)
    assert store.manifest["models"]["colours"]["preprocess"]["resize"] == [SIDE, SIDE]
    with pytest.raises(OptionError, match="have to be seen whole; leave preprocess= out"):
        evaluate(cutting, dataset, tmp_path / "b", replace(protocol, preprocess=NETWORK.preprocess), settings=HERE)


def test_photographs_whose_label_is_not_the_prediction_are_left_out(photos):
    """Reds in the folder of greens: they have a label, and it is not what the network says."""
    for number in range(3):
        (photos / "red" / f"{number}.png").rename(photos / "green" / f"red-{number}.png")
    with pytest.raises(OptionError, match=r"sure \(confidence 0\.9\) of pictures of 3 classes; expected 4"):
        synthetic.mosaics(photos, NETWORK)


def test_the_same_seed_gives_the_same_mosaics(photos):
    first, again, other = (synthetic.mosaics(photos, NETWORK, count=8, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    copied = pickle.loads(pickle.dumps(first))  # noqa: S301
    assert copied.fingerprint() == first.fingerprint()
    box_of = [dataset.annotations.regions_of(first.names[3])[2].box for dataset in (copied, first)]
    assert box_of[0] == box_of[1] == (0, SIDE, SIDE, 2 * SIDE)
    assert first.first(2).annotations is first.annotations
    assert first.first(2).input_size == (2 * SIDE, 2 * SIDE)


def test_a_changed_photograph_changes_the_fingerprint(photos):
    before = synthetic.mosaics(photos, NETWORK, count=4)
    fingerprint = before.fingerprint()
    Image.new("RGB", (20, 24), (250, 0, 0)).save(photos / "red" / "0.png")
    assert before.fingerprint() != fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": 1}, "cells is 1; expected 2 or more"),
        ({"count": 0}, "count is 0; expected 1 or more"),
        ({"confidence": 0}, "confidence is 0; expected a probability above 0"),
        ({"cells": 3}, "of pictures of 4 classes; expected 9 for mosaics of 3 x 3"),
    ],
)
def test_what_cannot_be_is_refused(photos, options, message):
    with pytest.raises(OptionError, match=message):
        synthetic.mosaics(photos, NETWORK, **options)


def test_a_network_that_does_not_say_how_it_cuts_photographs_is_refused(photos):
    with pytest.raises(OptionError, match="how the network cuts a photograph is not known"):
        synthetic.mosaics(open_dataset(photos), replace(NETWORK, preprocess=lambda _: torch.zeros(3, SIDE, SIDE)))
