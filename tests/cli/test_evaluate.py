"""`evaluate`, `table`, `reproduce` and `metrics`, as a user types them."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO

import polars as pl
import pytest
import torch
from PIL import Image

from shapleycam.cli.display import Display, duration
from shapleycam.errors import ImageError
from shapleycam.experiments import Store
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.metrics import METRICS

MODEL = """
import torch
import shapleycam


def network():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(6, 8, 3, stride=2), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3),
    )
    preprocess = shapleycam.Preprocess(32, (32, 32), (0.5,) * 3, (0.5,) * 3)
    return shapleycam.Network(model, preprocess, ("cat", "dog", "fox"), "tiny")
"""
QUICK = ("--model", "mine.py:network", "--method", "gradcam", "--method", "shapleycam", "--workers", 0)


@pytest.fixture
def photos(run, tmp_path):
    """Twelve photographs in folders by class, and the file of a small model; the test is in their folder."""
    (tmp_path / "mine.py").write_text(MODEL)
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        folder = tmp_path / "photos" / ("cat", "dog", "fox")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (6, 7, 3), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).resize((50, 40)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_a_table_and_a_last_line(photos, run):
    ran = run("evaluate", "photos", "--out", "run", *QUICK)
    assert ran.code == 0, ran.err
    assert "Layer before-pool, utility rest, 12 images" in ran.out
    assert ran.out.splitlines()[-1] == "12 images measured, no errors; results in run"
    rows = Store(photos.parent / "run").rows()
    assert rows.shape[0] == 12 * 2
    assert set(rows["method"]) == {"gradcam", "shapleycam"}


def test_the_same_command_goes_on_and_prints_the_same(photos, run):
    first = run("evaluate", "photos", "--out", "run", *QUICK)
    parts = sorted((photos.parent / "run/parts").rglob("*.parquet"))
    written = [part.stat().st_mtime_ns for part in parts]
    second = run("evaluate", "photos", "--out", "run", *QUICK)
    assert second.out == first.out
    assert [part.stat().st_mtime_ns for part in parts] == written


def test_another_protocol_is_refused_for_the_folder(photos, run):
    run("evaluate", "photos", "--out", "run", *QUICK)
    ran = run("evaluate", "photos", "--out", "run", *QUICK, "--baseline", "blur")
    assert ran.code == 2
    assert "protocol.options.baseline was 'zero', is 'blur'" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_a_bad_photograph_is_counted_in_the_last_line_and_fatal_when_strict(photos, run):
    (photos / "cat/broken.jpg").write_bytes(b"not a photograph")
    ran = run("evaluate", "photos", "--out", "run", *QUICK)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1].startswith("12 images measured, 1 could not be measured (cat/broken.jpg)")
    strict = run("evaluate", "photos", "--out", "other", *QUICK, "--strict")
    assert strict.code == 2
    assert "broken.jpg" in strict.err


def test_errors_are_tried_again_where_that_is_asked_for(photos, run, monkeypatch):
    """As where a disk was away: the photographs are the same, and can be read now."""
    opened = FileDataset.open

    def fail_at_the_fifth(dataset, index):
        if index == 4:
            raise ImageError(f"{dataset.names[index]}: cannot be read (the disk is away)")
        return opened(dataset, index)

    command = ("evaluate", "photos", "--out", "run", *QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(FileDataset, "open", fail_at_the_fifth)
        assert "11 images measured, 1 could not be measured" in run(*command).out
    again = run(*command)
    assert (again.code, "1 could not be measured" in again.out) == (0, True)
    retried = run(*command, "--retry-errors")
    assert retried.code == 0, retried.err
    assert retried.out.splitlines()[-1] == "12 images measured, no errors; results in run"
    assert run(*command, "--retry-errors").out == retried.out
    assert run(*command).out == retried.out
    anew = run("evaluate", "photos", "--out", "anew", *QUICK)
    assert Store(photos.parent / "run").rows().equals(Store(photos.parent / "anew").rows()), anew.err


def test_strict_is_fatal_for_what_an_earlier_run_passed_over(photos, run):
    (photos / "cat/broken.jpg").write_bytes(b"not a photograph")
    assert run("evaluate", "photos", "--out", "run", *QUICK).code == 0
    assert run("evaluate", "photos", "--out", "run", *QUICK, "--strict").code == 2


def test_an_interrupt_from_the_keyboard_is_one_line(photos, run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Display, "batch_finished", interrupted)
    ran = run("evaluate", "photos", "--out", "run", *QUICK)
    assert ran.code == 130
    assert ran.err == "note: stopped; 0 images are kept in run, and the same command goes on from there\n"
    monkeypatch.undo()


def test_the_folder_has_a_name_where_none_is_given(photos, run):
    ran = run("evaluate", "photos", "--limit", 2, *QUICK)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[-1] == "2 images measured, no errors; results in results"
    assert len(Store(photos.parent / "results").rows()) == 4


def test_all_methods_are_those_that_apply(photos, run):
    ran = run(
        "evaluate", "photos", "--out", "run", "--limit", 1, *QUICK[:2], "--method", "all", "--metric", "complexity"
    )
    assert ran.code == 0, ran.err
    assert "exactshapley" not in ran.out
    assert "sampledshapley" in ran.out


def test_labels_that_the_model_does_not_know_are_named(photos, run):
    (photos.parent / "list.csv").write_text(
        "path,label\nphotos/cat/0.png,5000\nphotos/dog/1.png,1\nphotos/fox/2.png,\n"
    )
    ran = run("evaluate", "list.csv", "--out", "run", *QUICK, "--class", "label")
    assert ran.code == 0, ran.err
    messages = Store(photos.parent / "run").rows().filter(status="left out")["message"].to_list()
    assert messages == ["its label 5000 is no class of mine.py:network", "it has no label"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--address", "auto"), "--address auto was given, and the work is done in this process; add --engine ray"),
        (("--actor-gpus", "0.5"), "--actor-gpus 0.5 was given, and the work is done in this process; add --engine ray"),
        (
            ("--engine", "ray", "--workers", "2"),
            "--workers 2 was given with --engine ray, which decodes by itself; leave it out",
        ),
        (
            ("--engine", "ray", "--address", "127.0.0.1:1"),
            (
                "no Ray cluster at 127.0.0.1:1 (Connection refused); start one (ray start --head), give --address "
                "HOST:PORT or ray://HOST:10001, or leave --address out for one of this machine's own"
            ),
        ),
    ],
)
def test_engines_that_cannot_be(photos, run, options, message):
    ran = run("evaluate", "photos", "--out", "run", *QUICK[:6], "--quiet", *options)
    assert (ran.code, ran.out, ran.err) == (2, "", f"error: {message}\n")


def test_labels_as_classes(photos, run):
    ran = run("evaluate", "photos", "--out", "run", *QUICK, "--class", "label")
    assert ran.code == 0, ran.err
    rows = Store(photos.parent / "run").rows()
    named = dict(zip(("cat", "dog", "fox"), range(3), strict=True))
    assert [named[name.split("/")[0]] for name in rows["image"]] == rows["target"].to_list()


def test_all_metrics_leave_out_those_that_ask_for_objects(photos, run):
    ran = run("evaluate", "photos", "--out", "run", "--limit", 2, *QUICK, "--metric", "all", "--quiet")
    assert ran.code == 0, ran.err
    columns = Store(photos.parent / "run").rows().columns
    assert {name for name in METRICS if name in columns} == METRICS.keys() - {
        *("pointing_game", "energy_pointing", "relevance_rank", "relevance_mass", "best_box_iou", "best_any_box_iou")
    }


def test_pointing_with_boxes(photos, run):
    boxes = photos.parent / "boxes"
    boxes.mkdir()
    for photo in photos.rglob("*.png"):
        whole = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>50</xmax><ymax>40</ymax></bndbox>"
        size = "<size><width>50</width><height>40</height></size>"
        (boxes / f"{photo.stem}.xml").write_text(
            f"<annotation>{size}<object><name>{photo.parent.name}</name>{whole}</object></annotation>"
        )
    options = ("--metric", "pointing_game", "--metric", "energy_pointing", "--class", "label", "--objects", "boxes")
    ran = run("evaluate", "photos", "--out", "run", *QUICK, *options)
    assert ran.code == 0, ran.err
    rows = Store(photos.parent / "run").rows().filter(pl.col("message").is_null())
    assert len(rows)
    assert rows["pointing_game"].to_list() == [1.0] * len(rows)
    assert rows["energy_pointing"].to_list() == pytest.approx([1.0] * len(rows))


def test_pointing_without_boxes_is_refused_before_anything_is_measured(photos, run):
    ran = run("evaluate", "photos", "--out", "run", *QUICK, "--metric", "pointing_game")
    assert ran.code == 2
    assert "--objects" in ran.err
    assert not (photos.parent / "run/manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no such file or folder"),
        (("photos", "--method", "gradcan"), "did you mean"),
        (("photos", "--metric", "average_dop"), "did you mean 'average_drop'"),
        (("photos", "--utility", "rist"), "did you mean 'rest'"),
        (("photos", "--layer", "9"), "9"),
    ],
)
def test_what_is_unknown_is_one_line(photos, run, arguments, message):
    ran = run("evaluate", *arguments, "--out", "run", *QUICK)
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.fixture
def measured(photos, run):
    """A finished run."""
    assert run("evaluate", "photos", "--out", "run", *QUICK, "--metric", "paper", "--metric", "insertion").code == 0
    return photos.parent / "run"


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv"])
def test_a_table_in_every_form(measured, run, form):
    printed = run("table", "run", "--format", form)
    written = run("table", "run", "--format", form, "--out", "table.txt")
    assert printed.code == written.code == 0, printed.err
    assert (measured.parent / "table.txt").read_text() == printed.out
    assert "shapleycam" in printed.out


def test_the_figures_of_the_csv_are_the_means_of_the_rows(measured, run):
    lines = list(csv.DictReader(StringIO(run("table", "run", "--format", "csv").out)))
    rows = Store(measured).rows()
    for metric in ("average_drop", "coherency", "complexity", "insertion"):
        for method in ("gradcam", "shapleycam"):
            (line,) = [line for line in lines if (line["metric"], line["method"]) == (metric, method)]
            mean = rows.filter(method=method)[metric].mean()
            assert float(line["mean"]) == pytest.approx(mean, abs=1e-9)
            assert float(line["low"]) <= mean <= float(line["high"])


def test_a_metric_that_was_not_measured_is_named(measured, run):
    ran = run("table", "run", "--metric", "road")
    assert ran.code == 2
    assert "road" in ran.err


def test_figures_are_drawn(measured, run):
    ran = run("table", "run", "--figures", "plots")
    assert ran.code == 0, ran.err
    files = sorted((measured.parent / "plots").glob("*.png"))
    assert len(files) == 2
    assert all(Image.open(file).size[0] > 300 for file in files)


def test_a_model_that_is_not_in_the_paper_has_no_published_figures(measured, run):
    ran = run("table", "run", "--against", "paper", "--format", "markdown")
    assert ran.code == 0, ran.err
    assert "published" in ran.out.lower()


def test_runs_of_two_protocols_cannot_share_a_table(measured, run):
    run("evaluate", "photos", "--out", "blurred", *QUICK, "--baseline", "blur")
    ran = run("table", "run", "blurred")
    assert ran.code == 2
    assert "options.baseline was 'zero', is 'blur'" in ran.err


def test_one_name_for_two_sets_of_weights_cannot_share_a_table(measured, run):
    (measured.parent / "mine.py").write_text(MODEL.replace("manual_seed(0)", "manual_seed(1)"))
    run("evaluate", "photos", "--out", "other", "--model", "mine.py:network", "--method", "pathcam", "--workers", 0)
    ran = run("table", "run", "other")
    assert ran.code == 2
    assert "mine.py:network: it has other weights" in ran.err


def test_the_same_figures_twice_cannot_share_a_table(measured, run):
    run("evaluate", "photos", "--out", "again", *QUICK)
    ran = run("table", "run", "again")
    assert ran.code == 2
    assert "both have" in ran.err


def test_runs_of_several_methods_share_a_table(measured, run):
    run("evaluate", "photos", "--out", "more", "--model", "mine.py:network", "--method", "pathcam", "--workers", 0)
    ran = run("table", "run", "more", "--metric", "average_drop", "--format", "csv")
    assert ran.code == 0, ran.err
    assert {line["method"] for line in csv.DictReader(StringIO(ran.out))} == {"gradcam", "shapleycam", "pathcam"}


@pytest.mark.parametrize("obstacle", ["empty", "no folder"])
def test_what_is_no_run_is_refused(run, tmp_path, obstacle):
    if obstacle == "empty":
        (tmp_path / "run").mkdir()
    ran = run("table", "run")
    assert ran.code == 2
    assert "no results of an evaluation" in ran.err


def test_every_metric_is_listed(run):
    assert all(name in run("metrics").out for name in METRICS)
    listed = json.loads(run("metrics", "--json").out)
    assert [row["name"] for row in listed] == list(METRICS)
    assert {row["better"] for row in listed} == {"high", "low"}


def test_reproduce_says_how_long_and_compares_with_print(photos, run):
    ran = run(
        *("reproduce", "--imagenet", "photos", "--model", "mobilenet_v2", "--no-pretrained", "--limit", 1),
        *("--workers", 0, "--batch-size", 2, "--out", "paper"),
    )
    assert ran.code == 0, ran.err
    assert re.search(r"mobilenet_v2: [\d.e+-]+ s an image in a trial", ran.err)
    assert "Layer before-pool" in ran.out
    assert "Layer last-conv" in ran.out
    manifest = Store(photos.parent / "paper").manifest
    assert manifest["models"]["mobilenet_v2"]["layers"] == {"before-pool": "features.18", "last-conv": "features.18.0"}
    assert manifest["protocol"]["preprocess"]["resize"] == 256
    assert Store(photos.parent / "paper").rows().shape[0] == 1 * 2 * 10


def test_reproduce_looks_at_the_folder_before_it_tries_a_network(photos, run, monkeypatch):
    assert run("evaluate", "photos", "--out", "run", *QUICK).code == 0
    monkeypatch.setattr("shapleycam.models.zoo.load_network", None)
    ran = run("reproduce", "--imagenet", "photos", "--model", "vgg16", "--no-pretrained", "--limit", 2, "--out", "run")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: run holds results of another run: the photographs differ:")
    assert "; protocol.preprocess was None, is {" in ran.err
    assert len(ran.err) < 1500


def test_reproduce_knows_only_the_twelve(photos, run):
    ran = run("reproduce", "--imagenet", "photos", "--model", "resnet19", "--out", "paper")
    assert ran.code == 2
    assert "resnet18" in ran.err


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (720, "12 min"), (12000, "3 h 20 min")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_running_means_of_the_display():
    from rich.console import Console

    console = Console(width=200, force_terminal=True)
    shown = Display([METRICS["average_drop"]], console)
    shown.run_started(4, 0)
    shown.model_started("tiny")
    row = {"status": "ok", "layer": "before-pool", "utility": "rest", "method": "gradcam"}
    shown.batch_finished(2, [{**row, "average_drop": 0.1}, {**row, "average_drop": 0.3}])
    with console.capture() as text:
        console.print(shown)
    # the mean of 0.1 and 0.3, and Student's 12.706 for two values x their deviation 0.1 √2 / √2
    printed = text.get()
    assert "20.00 ± 127.06" in printed
    assert "half of Student's 95% interval; the final table's interval is bootstrapped" in printed


class TestPlan:
    def test_prints_what_there_is_to_do_and_writes_nothing(self, photos, run):
        ran = run("evaluate", "photos", "--out", "run", *QUICK, "--plan")
        assert ran.code == 0, ran.err
        assert "Plan of run" in ran.out
        row = next(line for line in ran.out.splitlines() if "mine.py:network" in line)
        # x, and x·M and x·(1 - M) of two maps; the gradient and one product with the Hessian at x, and at each x·M
        assert re.search(r"12 of 12 +1 of 1 +60 +60 +0 ", row), row
        assert "at most 60 and 60" in ran.out
        assert re.search(r"^disk: [\d.]+ KB in 1 file$", ran.out, re.MULTILINE)
        assert re.search(r"^cost: [\d.e-]+ CPU core hours on this machine", ran.out, re.MULTILINE)
        assert not (photos.parent / "run").exists()

    def test_of_a_run_that_is_done_there_is_nothing_to_do(self, photos, run):
        assert run("evaluate", "photos", "--out", "run", *QUICK).code == 0
        ran = run("evaluate", "photos", "--out", "run", *QUICK, "--plan")
        assert ran.code == 0, ran.err
        assert "0 of 12" in ran.out
        assert "passes: 0 forward, 0 backward" in ran.out
        assert "disk: 0 bytes in 0 files" in ran.out

    def test_of_another_run_is_refused_as_the_run_would_be(self, photos, run):
        assert run("evaluate", "photos", "--out", "run", *QUICK).code == 0
        ran = run("evaluate", "photos", "--out", "run", *QUICK, "--class", "label", "--plan")
        assert (ran.code, ran.out) == (2, "")
        assert "class_rule was 'prediction', is 'label'" in ran.err

    def test_without_a_photograph_that_can_be_read_is_refused(self, photos, run):
        for path in photos.rglob("*.png"):
            path.write_bytes(b"")
        ran = run("evaluate", "photos", "--out", "run", *QUICK, "--plan")
        assert (ran.code, ran.out) == (2, "")
        assert "no photograph can be read" in ran.err

    def test_sums_over_networks_by_pencil(self, photos, run, monkeypatch):
        """Two networks of the paper on 50,000 photographs, of which one has done half."""
        from shapleycam.experiments.estimate import Trial
        from shapleycam.experiments.passes import Passes

        def trials(evaluation, images):
            passes = Passes(forward=26, backward=18), Passes(forward=42, backward=28)
            yield Trial("resnet18", 50_000, 0.036, *passes, 4000.0, 500.0, "Some GPU")
            yield Trial("vgg16", 25_000, 0.072, *passes, 4000.0, 500.0, "Some GPU")

        monkeypatch.setattr("shapleycam.experiments.plan.run_trials", trials)
        ran = run(
            *("reproduce", "--imagenet", "photos", "--model", "resnet18", "--model", "vgg16", "--no-pretrained"),
            *("--out", "paper", "--plan"),
        )
        assert ran.code == 0, ran.err
        # 75,000 photographs x 26, 18, 42 and 28; 50,000 x 0.036 s + 25,000 x 0.072 s = 3,600 s
        assert "passes: 1,950,000 forward, 1,350,000 backward" in ran.out
        assert "at most 3,150,000 and 2,100,000" in ran.out
        assert "time: 60 min by one process as fast as this one" in ran.out
        assert "cost: 1 GPU hours on Some GPU" in ran.out
        # two chunks of 12 photographs x 4,000 bytes each, 75,000 x 500 bytes
        assert "disk: 37.5 MB in 2 files" in ran.out


SURE = """
import torch
import shapleycam


class Colours(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = torch.nn.AvgPool2d(4)

    def forward(self, x):
        return 40 * torch.nn.functional.pad(self.patches(x).mean((2, 3)), (0, 1), value=0.4)


def network():
    preprocess = shapleycam.Preprocess(16, (16, 16), (0.0,) * 3, (1.0,) * 3)
    return shapleycam.Network(Colours().eval(), preprocess, ("red", "green", "blue", "dark"), "sure")
"""


@pytest.fixture
def colours(run, tmp_path):
    """Two photographs of each class, of which the model is sure."""
    (tmp_path / "mine.py").write_text(SURE)
    for name, colour in {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "dark": (0, 0, 0)}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 16), colour).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path


GRID = ("--metric", "relevance_mass", "--class", "label", "--utility", "logit", "--workers", 0)
HIRES = ("--model", "mine.py:network", "--layer", "patches", "--method", "hirescam")


def test_mosaics_of_photographs(colours, run):
    ran = run("evaluate", "photos", "--mosaic", 2, "--out", "run", *HIRES, *GRID)
    assert ran.code == 0, ran.err
    rows = Store(colours / "run").rows().sort("index")
    assert rows["image"].to_list() == ["00000-row1-column1", "00001-row1-column2"]
    lit = rows.filter(pl.col("label") != 3)  # dark is the class of what is not there
    assert len(lit)
    assert lit["relevance_mass"].to_list() == pytest.approx([1] * len(lit))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mosaic", 3), "is sure (confidence 0.9) of pictures of 4 classes; expected 9 for mosaics of 3 x 3"),
        (("--mosaic", 1), "cells is 1; expected 2 or more"),
        (("--mosaic", 2, "--model", "efficientnet_lite0"), "--mosaic 2 and 2 models were given; give the one"),
        (("--mosaic", 2, "--preprocess", "paper"), "--mosaic 2 and --preprocess paper"),
        (("--mosaic", 2, "--objects", "boxes"), "have annotations of their own"),
    ],
)
def test_mosaics_that_cannot_be(colours, run, options, message):
    (colours / "boxes").mkdir()
    (colours / "boxes" / "0.xml").write_text("<annotation></annotation>")
    ran = run("evaluate", "photos", "--out", "run", *HIRES, *options, *GRID)
    assert ran.code == 2
    assert message in " ".join(ran.err.split())
    assert not (colours / "run/manifest.json").exists()
