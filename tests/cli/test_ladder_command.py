"""`shapleycam ladder` and `shapleycam fidelity --truth input` as a user runs them."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

REGIONS = ("--players", "2x2")
FIGURES = ("error", "noise_share", "pearson", "pearson_corrected", "spearman", "spearman_corrected")


@pytest.fixture
def photographs(hopper, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.open(hopper)
    for index in range(3):
        picture.crop((40 * index, 60 * index, 400, 500)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def model(tiny):
    """The name of a small network in a file."""
    return "tiny.py:network"


@pytest.mark.slow
def test_a_ladder_in_a_table_a_plot_and_a_csv(run, model, photographs, tmp_path):
    ran = run("ladder", model, photographs, *REGIONS, "--plot", "out/l.png", "--csv", "out/l.csv", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert "  measured   3 images, removal zero at the input, zero at the layers" in lines
    assert "  input      4 regions, 16 runs of the model an image" in lines
    assert any(line.startswith("  empty      where all regions are removed ") for line in lines)
    assert lines[-1].startswith("By price: ")
    rows = [line.split() for line in lines if "hirescam" in line and "written" not in line and "By price" not in line]
    assert rows[-1][0] == "input"
    with (tmp_path / "out/l.csv").open() as file:
        written = list(csv.DictReader(file))
    assert {row["image"] for row in written} == {str(photographs / f"{index}.png") for index in range(3)}
    assert {row["method"] for row in written} == {"hirescam", "shapley values"}
    with Image.open(tmp_path / "out/l.png") as picture:
        picture.load()


@pytest.mark.slow
def test_a_ladder_as_json_goes_on_from_what_is_kept(run, model, photographs):
    command = ("ladder", model, photographs, *REGIONS, "--removal", "blur", "--out", "kept", "--json", "--quiet")
    first, second = (json.loads(run(*command).out) for _ in range(2))
    assert first["removal"] == "blur"
    assert (first["layers"][-1], first["layer_removal"]) == ("input", "zero")
    own = [[row for row in document["images"] if row["method"] == "shapley values"] for document in (first, second)]
    assert own[0] == own[1]  # with the prices, which no second measurement would have
    assert first["sentence"].startswith("By price: ")
    refused = run("ladder", model, photographs, *REGIONS, "--out", "kept")
    assert refused.code == 2
    assert "holds a ladder of another protocol (removal was 'blur', is 'zero'); choose another folder with --out" in (
        refused.err.replace("\n", "")
    )


def test_a_plan_is_printed_and_nothing_written(run, model, photographs, tmp_path):
    ran = run("ladder", model, photographs, *REGIONS, "--plan", "--out", "kept", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert "hours) as fast as a few runs were just now" in ran.out
    assert not (tmp_path / "kept").exists()
    document = json.loads(run("ladder", model, photographs, *REGIONS, "--plan", "--json", "--quiet").out)
    assert document["rungs"][-1]["layer"] == "input"
    assert document["rungs"][-1]["images"] == 3
    assert document["seconds"] == pytest.approx(sum(rung["total"] for rung in document["rungs"]))


REFUSED = {
    "a layer twice": (("--layers", "activation,activation"), "layer 'activation' is named twice; expected each once"),
    "no such layer": (("--layers", "nothing"), "'nothing'"),
    "too few runs": (
        ("--players", "16x16"),
        "expected at most 2,000: make fewer regions the players, --players 7x7 say",
    ),
    "too few runs even of 7x7": (
        ("--players", "3x3", "--runs", "5"),
        "expected at most 5: make fewer regions the players, or allow more with --runs",
    ),
    "no such method": (("--method", "gradcan"), "did you mean 'gradcam'"),
    "no such removal": (("--removal", "gone"), "removal 'gone' is unknown"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_ladder_refuses_is_one_line(name, refused, model, hopper):
    options, message = REFUSED[name]
    assert message in refused("ladder", model, hopper, "--quiet", *options)


def test_fidelity_against_the_input(run, model, photographs, tmp_path):
    methods = ("--method", "hirescam", "--method", "layercam")
    options = (
        "--truth",
        "input",
        *REGIONS,
        *methods,
        "--csv",
        "out/d.csv",
        "--plot",
        "out/d.png",
        "--utility",
        "logit",
    )
    ran = run("fidelity", photographs, "--model", model, *options, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert "  measured   3 images against the Shapley values of the input, removal zero" in ran.out
    assert "are the ranks of " in ran.out.splitlines()[-1]
    document = json.loads(run("fidelity", photographs, "--model", model, *options, "--json", "--quiet").out)
    assert document["truth"] == "input"
    by_method = {row["method"]: row for row in document["methods"]}
    assert by_method["layercam"]["error"] is None
    assert by_method["hirescam"]["pearson"]["count"] == 3
    with (tmp_path / "out/d.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {name for name in FIGURES if rows[0][name]} >= {"spearman", "spearman_corrected"}
    with Image.open(tmp_path / "out/d.png") as picture:
        picture.load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tolerance", 0.1), "--tolerance 0.1 is for the layer's own values; with --truth input set the number"),
        (("--runs", 100, "--players", "4x4"), "the values of 16 players at layer 'input' take 360 runs at least"),
        (("--precision", "bfloat16"), "precision 'bfloat16' applies to what comes before the layer"),
    ],
)
def test_what_the_input_as_truth_refuses_is_one_line(options, message, refused, model, hopper):
    assert message in refused("fidelity", hopper, "--model", model, "--truth", "input", "--quiet", *options)
