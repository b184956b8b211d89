"""`--layer input`, `--players superpixels`, `--removal blur` and `--runs` in the commands that have them."""

from __future__ import annotations

import json
from math import inf, nan

import pytest

from shapleycam.cli.console import print_json
from shapleycam.cli.parsing import parse_regions
from shapleycam.explanations.explanation import Explanation

INPUT = ("--model", "tiny.py:network", "--layer", "input")
REGIONS = ("--players", "superpixels:8", "--removal", "blur")


def test_explain_prints_values_with_errors_what_is_left_and_what_was_reached(run, tiny, hopper, tmp_path):
    sampling = ("--method", "sampledshapley", "--runs", 100, "--tolerance", 1e-6)
    ran = run("explain", hopper, *INPUT, *REGIONS, *sampling, "--save", "--out", tmp_path)
    assert ran.code == 0
    printed = {line.split()[0]: line for line in ran.out.splitlines() if line.strip()}
    assert "where removal blur took everything: of" in printed["empty"]
    assert "of 8 regions by sampledshapley: " in printed["strongest"]
    assert printed["strongest"].count("±") == 3
    assert "after 84 runs the standard error is" in printed["notes"]
    assert "allow more with --runs, or group cells with --players" in ran.err
    assert len(list(tmp_path.glob("*.png"))) == 1
    (file,) = tmp_path.glob("*.npz")
    explanation = Explanation.load(file)
    assert explanation.regions is not None
    assert (explanation.layer, explanation.removal, len(explanation.region_values())) == ("input", "blur", 8)


def test_explain_as_json(run, tiny, hopper):
    ran = run("explain", hopper, *INPUT, *REGIONS, "--method", "exactshapley", "--json", "--quiet")
    (explained,) = json.loads(ran.out)["explained"]
    regions = explained["regions"]["exactshapley"]
    total = explained["utility_value"] - explained["utility_removed"]
    assert sum(region["value"] for region in regions) == pytest.approx(total, abs=1e-3)
    assert sum(region["area"] for region in regions) == pytest.approx(1)


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "--method", "hirescam", "--method", "leaveoneout", *REGIONS),
        ("fidelity", "--players", "2x2", "--runs", "64", "--method", "hirescam", "--method", "exactshapley"),
        ("interactions", "--players", "superpixels:4"),
        ("report", "--method", "hirescam", "--out", "report.html"),
    ],
)
def test_other_commands(command, run, tiny, hopper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *options = command
    ran = run(name, hopper, *INPUT, *options)
    assert ran.code == 0, ran.err
    assert ran.out


def test_layers_lists_it(run, tiny):
    ran = run("layers", "tiny.py:network", "--json")
    first = json.loads(ran.out)["layers"][0]
    assert (first["layer"], first["shape"], first["layout"]) == ("input", [3, 32, 32], "NCHW 32 x 32")


REFUSED = {
    "sampling of pixels": (("--method", "sampledshapley"), "1,024 players at layer 'input', each a run of the whole"),
    "all coalitions of pixels": (("--method", "exactshapley"), "takes 2^1024 coalitions with 1,024 players"),
    "regions of no such name": (("--players", "superpixel:9"), "players 'superpixel:9' are unknown"),
    "a grid of another form": (("--players", "3by3"), "--players 3by3: expected rows x columns"),
    "patches of a network without": (("--players", "patches"), "the model declares none"),
    "tokens of a network without": (
        ("--removal", "drop", "--method", "leaveoneout", "--players", "2x2"),
        "removal 'drop' leaves out tokens, and the model (",
    ),
    "a gradient towards no image": (
        ("--removal", "impute", "--method", "hirescam"),
        "method 'hirescam' goes from the image to one in which all is removed, and removal 'impute' has no single such",
    ),
    "bfloat16": (("--precision", "bfloat16"), "nothing before layer 'input' runs in bfloat16"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_refused_in_one_line(name, refused, tiny, hopper):
    options, message = REFUSED[name]
    line = refused("explain", hopper, "--quiet", *INPUT, *options)
    assert message in line


def test_the_advice_names_options(refused, tiny, hopper):
    line = refused("explain", hopper, "--quiet", *INPUT, "--method", "sampledshapley")
    assert line.endswith("make regions the players, --players 7x7 say, or allow more with --runs")


def test_runs_of_an_evaluation_are_the_limit(refused, tiny, hopper):
    options = ("--method", "leaveoneout", "--players", "2x2", "--runs", "3", "--quiet")
    line = refused("evaluate", hopper.parent, *INPUT, *options, "--limit", "1", "--out", "run")
    assert line.endswith("expected at most 3: make fewer regions the players, or allow more with --runs")


@pytest.mark.parametrize("removal", ["impute", "samples"])
def test_what_the_model_still_sees_is_printed(run, tiny, hopper, removal):
    reference = ("--reference", hopper) if removal == "samples" else ()
    options = ("--method", "exactshapley", "--players", "2x2", "--removal", removal, *reference)
    ran = run("explain", hopper, *INPUT, *options, "--json", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    data = json.loads(ran.out)
    assert data["removal"].split()[0] == removal
    removed = data["explained"][0]["utility_removed"]
    if removal == "samples":  # by the photograph itself: nothing changes
        assert removed == pytest.approx(data["explained"][0]["utility_value"], abs=1e-4)
    assert "where removal" in run("explain", hopper, *INPUT, *options, "--quiet").out


def test_blur_at_another_layer(refused, tiny, hopper):
    line = refused("explain", hopper, "--model", "tiny.py:network", "--removal", "blur", "--quiet")
    assert "removal 'blur' is of images, and layer" in line


def test_regions_by_name_or_grid():
    assert parse_regions(None) is None
    assert parse_regions("7x5") == (7, 5)
    assert parse_regions("Superpixels:30") == "superpixels:30"


def test_interactions_of_regions_are_drawn_between_their_middles(run, tiny, hopper, tmp_path):
    grid = ("--players", "1x2", "--quiet", "--out", tmp_path)
    ran = run("interactions", hopper, *INPUT, *grid)
    assert ran.code == 0, ran.err
    assert "25% across, 50% down" in ran.out
    assert "75% across, 50% down" in ran.out
    (file,) = tmp_path.glob("*_interactions.png")
    assert file.stat().st_size > 0


def test_interactions_within_the_runs_of_the_model(run, refused, tiny, hopper):
    sampled = ("interactions", hopper, *INPUT, "--quiet", "--players", "4x4", "--rounds", "8")
    line = refused(*sampled)
    # A round of 16 players has 8 orders, with 16 beginnings each and 16 coalitions that skip one.
    assert "8 rounds for the pairs of 16 players take 2,048 runs of what comes after layer 'input'" in line
    assert "expected at most 1,000: allow --runs 2048, take fewer rounds, or group cells with --players RxC" in line
    assert run(*sampled, "--runs", "2048").code == 0


def test_json_has_null_for_what_it_has_no_word_for(capsys):
    print_json({"stderr": [0.5, inf], "of": ({"half": nan, "count": 1},), "name": "inf"})
    expected = {"stderr": [0.5, None], "of": [{"half": None, "count": 1}], "name": "inf"}
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == expected
