"""`table`: remarks on unpublished numbers, on what was not measured, and the figures."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from html import unescape
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapleycam.experiments import Protocol
from shapleycam.experiments.manifest import run_identity
from shapleycam.experiments.rows import to_table
from shapleycam.experiments.run_opening import open_run

IMAGES = 6
METHODS = ("gradcam", "hirescam", "layercam", "gradcam++")
IN_UNITS = ("gradcam", "hirescam")
"""Of the four, those that have a Shapley error."""


def write_finished_run(
    path: Path, *metrics: str, models: tuple[str, ...] = ("resnet18", "vgg16"), methods=METHODS, **options
) -> None:
    """A finished run of random figures; the Shapley error of methods whose values are in other units is NaN."""
    generator = np.random.default_rng(len(metrics))
    protocol = Protocol(methods=methods, metrics=metrics, **options)
    facts = {"origin": "untrained", "preprocess": Protocol.paper().as_data()["preprocess"], "layers": {}}
    manifest = {
        "protocol": protocol.as_data(),
        "order": list(models),
        "models": {model: {**facts, "weights": model} for model in models},
        "dataset": {"images": IMAGES, "fingerprint": "f"},
        "sessions": [{}],
    }
    with open_run(path, manifest, 16) as store:
        for model in models:
            head = {"model": model, "layer": "before-pool", "utility": "rest", "status": "ok"}
            rows = [
                {**head, "index": index, "image": f"{index}.jpg", "method": method}
                | {name: generator.uniform(0.1, 0.9) for name in metrics}
                | ({"shapley_error": np.nan} if "shapley_error" in metrics and method not in IN_UNITS else {})
                | ({"insertion_curve": [0.1, 0.5, 0.9]} if "insertion" in metrics else {})
                for index in range(IMAGES)
                for method in methods
            ]
            store.write(model, store.pending(model)[0], to_table(rows, metrics))


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "html", "csv"])
def test_beside_published_figures_it_says_how_the_run_differs_from_them(run, tmp_path, form):
    write_finished_run(tmp_path / "run", "coherency", class_rule="label")
    plain, compared = (run("table", "run", "--format", form, *rest).out for rest in ((), ("--against", "paper")))
    message = " ".join(unescape(compared.replace(r"\_", "_")).split())
    for sentence in (
        "Another protocol than the published one: class_rule was 'prediction', is 'label'.",
        "Weights that are not known to be the published ones: resnet18, vgg16 (untrained).",
        "Another number of images: 6, and 50,000 in print.",
    ):
        assert sentence in message
    assert "Another" not in plain
    assert "not known to be" not in plain


@pytest.mark.parametrize("form", ["terminal", "markdown", "latex", "html", "csv"])
def test_leads_are_printed_in_each_form(run, tmp_path, form):
    write_finished_run(tmp_path / "run", "coherency", "complexity")
    text = run("table", "run", "--lead", "GradCAM:layercam", "--format", form, "--against", "paper").out
    assert "resnet18" in text
    assert "gradcam" in text
    assert ("published_points" if form == "csv" else "published lead") in " ".join(text.split())


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        ("gradcam", "--lead gradcam: expected two methods with a colon between"),
        ("gradcam:rise", "method 'rise' is not in these results"),
        ("gradcam:Grad-CAM", "gradcam was given twice"),
    ],
)
def test_a_lead_of_what_is_not_there_is_one_line(refused, tmp_path, lead, message):
    write_finished_run(tmp_path / "run", "coherency")
    assert message in refused("table", "run", "--lead", lead)


def test_figures_of_leads_are_drawn_for_each_metric(run, tmp_path):
    write_finished_run(tmp_path / "run", "coherency", "complexity")
    ran = run("table", "run", "--lead", "gradcam:layercam", "--figures", "plots")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "lead_gradcam_layercam_coherency.png",
        "lead_gradcam_layercam_complexity.png",
    ]


def test_reproduce_says_it_too(photo_folder, run):
    ran = run(
        *("reproduce", "--imagenet", "photos", "--model", "mobilenet_v2", "--no-pretrained", "--limit", 1, "--quiet"),
        *("--workers", 0, "--batch-size", 2, "--out", "paper"),
    )
    assert ran.code == 0, ran.err
    assert "not known to be the published ones: mobilenet_v2 (untrained)." in ran.out
    assert "Another number of images: 1, and 50,000 in print." in ran.out
    assert "Another protocol" not in ran.out
    assert "Another preprocessing" not in ran.out


def test_a_figure_that_cannot_be_drawn_is_a_note_and_the_others_are_drawn(run, tmp_path):
    write_finished_run(tmp_path / "run", "shapley_error", "coherency", "insertion")
    ran = run("table", "run", "--figures", "plots")
    assert ran.code == 0, ran.err
    (note,) = [line for line in ran.err.splitlines() if line.startswith("note:")]
    assert "plots/ranks_shapley_error_before-pool_rest.png is not drawn: 2 networks and 2 methods have figures" in note
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "coherency_shapley_error_before-pool_rest.png",
        "curves_before-pool_rest.png",
        "ranks_coherency_before-pool_rest.png",
        "ranks_insertion_before-pool_rest.png",
    ]


@pytest.mark.parametrize("obstacle", ["a file", "not writable"])
def test_a_folder_for_figures_that_cannot_be_is_said_by_its_own_name_before_anything_is_printed(
    refused, tmp_path, obstacle
):
    write_finished_run(tmp_path / "run", "coherency")
    (tmp_path / "file").write_text("")
    message = refused("table", "run", "--figures", "file" if obstacle == "a file" else "/proc/x")
    assert "with --figures" in message
    assert "--out" not in message


def test_the_published_adcc_is_beside_that_of_images_and_may_be_asked_by_name(run, tmp_path):
    write_finished_run(tmp_path / "run", "average_drop", "coherency", "complexity", "adcc")
    for name, columns in (("adcc", {"adcc", "adcc_of_means"}), ("adcc_of_means", {"adcc_of_means"})):
        ran = run("table", "run", "--metric", name, "--against", "paper", "--format", "csv")
        assert ran.code == 0, ran.err
        lines = list(csv.DictReader(StringIO(ran.out)))
        assert {line["metric"] for line in lines} == columns
        assert all(bool(line["published_percent"]) == (line["metric"] == "adcc_of_means") for line in lines)


def test_a_set_is_what_was_measured_of_it_and_a_name_must_have_been(run, refused, tmp_path):
    write_finished_run(tmp_path / "run", "coherency", "shapley_error")
    ran = run("table", "run", "--metric", "all", "--format", "csv")
    assert ran.code == 0, ran.err
    assert {line["metric"] for line in csv.DictReader(StringIO(ran.out))} == {"coherency", "shapley_error"}
    assert "metric 'insertion' was not measured in run" in refused("table", "run", "--metric", "insertion")


def test_what_a_run_did_not_measure_is_not_called_undefined(run, tmp_path):
    write_finished_run(tmp_path / "one", "coherency", methods=("gradcam", "gradcam++"))
    write_finished_run(tmp_path / "two", "shapley_error", methods=("hirescam", "layercam"))
    ran = run("table", "one", "two", "--format", "markdown")
    assert ran.code == 0, ran.err
    (note,) = [line for line in ran.out.splitlines() if line.startswith("Undefined")]
    assert note == "Undefined, and out of the mean: φ error for 6 of 6 images (resnet18, vgg16: layercam)."
    assert "|  | hirescam | – |" in ran.out


def test_a_metric_that_is_not_known_any_more_is_one_line(refused, tmp_path):
    write_finished_run(tmp_path / "run", "coherency")
    file = tmp_path / "run/manifest.json"
    manifest = json.loads(file.read_text())
    manifest["protocol"]["metrics"] = ["coherence"]
    file.write_text(json.dumps({**manifest, "identity": run_identity(manifest)}))
    assert refused("table", "run").startswith("run has a metric 'coherence' that this version does not know")


@pytest.fixture
def photo_folder(tmp_path):
    """Three small photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number}.png")
    return folder


def test_an_evaluation_without_any_readable_photograph_says_so(photo_folder, tiny, run):
    for photo in photo_folder.iterdir():
        photo.write_bytes(b"not a photograph")
    ran = run("evaluate", "photos", "--model", tiny, "--method", "gradcam", "--workers", 0, "--out", "run", "--quiet")
    assert ran.code == 2
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: no image has a result: 3 could not be measured (the first, 0.png: ")
    assert "evaluate first" not in ran.err


def test_an_evaluation_of_which_the_class_rule_leaves_nothing_says_so(photo_folder, tiny, run, tmp_path):
    """The network never predicts a class that is given to every photograph but one, whose file is broken."""
    (photo_folder / "0.png").write_bytes(b"not a photograph")
    for label in range(4):
        (tmp_path / "list.csv").write_text("path,label\n" + "".join(f"photos/{i}.png,{label}\n" for i in range(3)))
        out = f"run{label}"
        ran = run(
            *("evaluate", "list.csv", "--model", tiny, "--method", "gradcam", "--workers", 0, "--out", out, "--quiet"),
            *("--class", "correct"),
        )
        if ran.code:
            break
    assert ran.code == 2
    message = "error: no image has a result: 1 could not be measured (the first, photos/0.png: "
    assert ran.err.splitlines()[-1].startswith(message)
    assert "2 left out by the class rule (the first, photos/1.png: predicted " in ran.err
    assert f"labelled {label})" in ran.err


def test_a_table_is_made_without_torch(tmp_path):
    """Which takes seconds to import, and more memory than a table of millions of rows."""
    write_finished_run(tmp_path / "run", "coherency", "complexity", "average_drop", "adcc")
    code = (
        "import sys\nfrom shapleycam.cli import main\n"
        f"sys.argv = ['shapleycam', 'table', {str(tmp_path / 'run')!r}]\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Layer before-pool, utility rest, 6 images" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "False"
