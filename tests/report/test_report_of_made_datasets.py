"""Reports and tables of runs over datasets that were made: mosaics, and planted patches, with metrics of boxes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from helpers.html_reader import assert_stands_alone
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol, RunSettings, Store, evaluate, synthetic
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.synthetic import PlantedLayout, planted_dataset
from shapleycam.models import zoo
from shapleycam.report import MapReproducer, render_runs

HERE = RunSettings(workers=0)
METRICS = ("relevance_mass", "best_box_iou", "best_any_box_iou", "average_drop")
NETWORK = """
import torch
from torch import nn
from shapleycam import Network, Preprocess

class Patches(nn.Module):
    def forward(self, x):
        colours = nn.functional.avg_pool2d(x, 4)
        white = colours.amin(1, keepdim=True)
        return torch.cat([colours - white, white], 1)

class Colours(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = Patches()

    def forward(self, x):
        return 20 * self.patches(x).mean((2, 3))

def network():
    preprocess = Preprocess(16, (16, 16), (0.0,) * 3, (1.0,) * 3)
    return Network(Colours().eval(), preprocess, ("red", "green", "blue", "white"))
"""
"""How red, green, blue and white an image is: its evidence for a colour lies where the colour is."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path: Path = tmp_path_factory.mktemp("model") / "colours.py"
    path.write_text(NETWORK, encoding="utf-8")
    return f"{path}:network"


@pytest.fixture(scope="module")
def mosaics(model, tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}.items():
        for number in range(3):
            Image.new("RGB", (20, 24), colour).save(folder / f"{name}{number}.png")
    return synthetic.mosaics(str(folder), zoo.load_network(model))


@pytest.fixture(scope="module")
def of_mosaics(model, mosaics, tmp_path_factory) -> Store:
    protocol = Protocol(
        methods=("hirescam", "eigencam"), metrics=METRICS, layers=("patches",), utilities=("logit",), class_rule="label"
    )
    return evaluate(model, mosaics, str(tmp_path_factory.mktemp("runs") / "grid"), protocol, settings=HERE)


def test_a_report_of_mosaics_has_their_maps_where_they_are_made_again(of_mosaics, model, mosaics):
    page = assert_stands_alone(render_runs([of_mosaics], MapReproducer([of_mosaics], model, mosaics, "cpu"), maps=1))
    assert "3 photographs of mosaics of 2 x 2 photographs" in page.text
    assert "3 have results" in page.text
    assert [image["alt"] for image in page.all("img") if "hirescam heatmap of" in image["alt"]]
    maps = MapReproducer([of_mosaics], model, mosaics, "cpu").maps(model, "patches", "logit", 1, mosaics.labels[1])
    values = maps["hirescam"].values[0]
    row, column = divmod(1, 2)  # the cell that the second mosaic is asked about
    assert values.shape == (8, 8)
    assert float(values[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].sum() / values.sum()) == pytest.approx(1)


@pytest.mark.parametrize("place", [None, "photos"])
def test_without_them_a_report_says_how_they_are_made(of_mosaics, model, place):
    page = assert_stands_alone(render_runs([of_mosaics], MapReproducer([of_mosaics], model, place, "cpu"), maps=1))
    assert (
        "which were generated and not stored; make them again by shapleycam.experiments.synthetic.mosaics and"
        in page.text
    )


def test_other_mosaics_are_refused(of_mosaics, model, mosaics):
    other = synthetic.mosaics(mosaics.photographs, zoo.load_network(model), seed=1)
    with pytest.raises(OptionError, match="holds other photographs than the run measured"):
        MapReproducer([of_mosaics], model, other, "cpu").maps(model, "patches", "logit", 0, other.labels[0])


def test_the_commands_of_a_run_of_mosaics(run, of_mosaics, model):
    place = of_mosaics.storage.path
    ran = run("report", place, "--model", model, "--out", "grid.html")
    assert (ran.code, Path("grid.html").is_file()) == (0, True)
    assert "make them again by shapleycam.experiments.synthetic.mosaics" in ran.err
    table = run("table", place)
    (hirescam,) = [line for line in table.out.splitlines() if line.startswith("hirescam")]
    assert "100.00" in hirescam
    lead = run("table", place, "--lead", "hirescam:eigencam", "--figures", "drawn")
    assert lead.code == 0, lead.err
    assert Path("drawn/lead_hirescam_eigencam_max_box_accuracy.png").is_file()


def test_a_planted_run_reports_its_boxes(tmp_path):
    network, dataset = planted_dataset(PlantedLayout("NCHW", (4, 6)), count=3)
    protocol = Protocol(methods=("hirescam", "randomcam"), metrics=METRICS, utilities=("logit",), class_rule="label")
    store = evaluate(network, dataset, str(tmp_path / "planted"), protocol, settings=HERE)
    page = assert_stands_alone(render_runs([store], MapReproducer([store], device="cpu")))
    assert "3 photographs of planted patches, NCHW 4x6; 3 have results." in page.text
    assert "MaxBoxAccV2" in page.text
    one = evaluate(network, dataset.first(1), str(tmp_path / "one"), protocol, settings=HERE)
    assert (
        "1 photograph of planted patches, NCHW 4x6; 1 has results."
        in assert_stands_alone(render_runs([one], None)).text
    )
