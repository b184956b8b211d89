"""`shapleycam fidelity` and `shapleycam interactions` as a user runs them."""

from __future__ import annotations

import csv
import json
import re

import pytest
from PIL import Image


@pytest.fixture
def photographs(hopper, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.open(hopper)
    for index in range(3):
        picture.crop((40 * index, 60 * index, 400, 500)).save(folder / f"{index}.png")
    return folder


def test_the_table_of_the_default_model(run, hopper):
    ran = run("fidelity", hopper, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    rows = {
        line.split()[0]: line.split() for line in ran.out.splitlines() if line.split()[1:2] and "%" in line.split()[1]
    }
    assert "  utility    rest\n" in ran.out
    assert float(rows["pathcam-h"][1].rstrip("%")) < 1.5
    assert float(rows["sampledshapley"][1].rstrip("%")) < 2
    assert 20 < float(rows["hirescam"][1].rstrip("%")) < 60
    assert "exactshapley" not in rows  # 49 players
    assert "permutation sampling to 0.50%" in ran.out
    assert "  coalitions a sum each: behind the layer the output is a sum over positions\n" in ran.out
    assert ran.out.strip().splitlines()[-1].startswith("Use ")


def test_json_csv_and_plot(run, tiny, photographs, tmp_path):
    files = ("--csv", "out/d.csv", "--plot", "out/d.png")
    methods = ("--method", "hirescam", "--method", "exactshapley", "--method", "layercam")
    utilities = ("--utility", "rest", "--utility", "logit")
    arguments = (*methods, *utilities, *files, "--players", "2x2", "--batch-size", 2)
    ran = run("fidelity", photographs, "--model", tiny, *arguments, "--json", "--quiet")
    assert ran.code == 0, ran.err
    (line,) = ran.out.splitlines()
    document = json.loads(line)
    assert document["files"] == ["out/d.csv", "out/d.png"]
    assert document["reference"] == "all coalitions"
    assert len(document["images"]) == 3 * 2 * 3
    by_logit = {row["method"]: row for row in document["methods"] if row["utility"] == "logit"}
    assert by_logit["exactshapley"]["error"]["value"] < 1e-6
    assert by_logit["hirescam"]["error"]["value"] < 1e-4  # the mean and a linear layer: the logit is linear
    assert by_logit["layercam"]["error"] is None
    with (tmp_path / "out/d.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    first = document["images"][0]
    assert {key: rows[0][key] for key in ("image", "utility", "method")} == {
        key: first[key] for key in ("image", "utility", "method")
    }
    assert float(rows[0]["error"]) == pytest.approx(first["error"])
    with Image.open(tmp_path / "out/d.png") as picture:
        picture.load()
        assert picture.width > 2 * picture.height  # two methods in units, two utilities, one row of four
    assert len(document["advice"]) == 2


def test_one_bad_photograph_does_not_stop_the_others(run, tiny, photographs):
    (photographs / "broken.png").write_bytes(b"no picture")
    ran = run("fidelity", photographs, "--model", tiny, "--method", "hirescam", "--players", "2x2", "--json")
    assert ran.code == 2
    assert "broken.png" in ran.err
    assert len(json.loads(ran.out)["images"]) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--players", "3y3"), "--players 3y3: expected rows x columns, such as 3x3"),
        (("--players", "9x9"), "players are a grid of 9 x 9 regions; expected 1 x 1 to 4 x 4"),
        (("--nodes", "-3"), "--nodes -3: expected a whole number from 1 on, or auto"),
        (("--tolerance", "0"), "tolerance is 0.0; expected a positive number"),
        (("--utility", "rast"), "utility 'rast' is unknown; did you mean 'rest'"),
        (("nothing.png",), "nothing.png: no such file"),
    ],
)
def test_refusals(run, tiny, arguments, text):
    ran = run("fidelity", *arguments, "--model", tiny)
    assert ran.code == 2
    assert text in ran.err.replace("\n", "")
    assert len(ran.err.strip().splitlines()) == 1


def test_sampled_values_are_shown_with_what_is_not_sure(run, hopper, tmp_path):
    ran = run("explain", hopper, "--method", "sampledshapley", "--method", "gradcam", "--tolerance", 0.3, "--json")
    assert ran.code == 0, ran.err
    (facts,) = json.loads(ran.out)["explained"]
    uncertainty = facts["uncertainty"]["sampledshapley"]
    assert list(facts["uncertainty"]) == ["sampledshapley"]
    assert 0 < uncertainty["relative"] < 0.3
    values, stderr = facts["values"]["sampledshapley"], uncertainty["stderr"]
    unsure = [
        abs(v) < 2 * s for row, errors in zip(values, stderr, strict=True) for v, s in zip(row, errors, strict=True)
    ]
    assert uncertainty["not_sure"] == pytest.approx(sum(unsure) / 49)
    sampled, plain = (
        Image.open(tmp_path / f"grace_hopper_academic-gown-400_{name}.png") for name in ("sampledshapley", "gradcam")
    )
    assert sampled.width / sampled.height > 1.2 * plain.width / plain.height  # two panels beside one


def test_sampled_values_say_so_in_words(run, hopper):
    ran = run("explain", hopper, "--method", "sampledshapley")
    assert "sampledshapley to 0." in ran.out
    assert "of the cells (nearer to zero than 2 standard errors)" in " ".join(ran.out.split())


def test_regions_and_nodes_reach_the_methods(run, tiny, hopper):
    methods = ("--method", "exactshapley", "--method", "pathcam-h")
    ran = run("explain", hopper, "--model", tiny, *methods, "--players", "2x2", "--nodes", "auto", "--json")
    assert ran.code == 0, ran.err
    (facts,) = json.loads(ran.out)["explained"]
    values = facts["values"]["exactshapley"]
    assert values[0][0] == values[1][1] == values[0][1]
    assert len({value for row in values for value in row}) == 4
    assert sum(map(sum, values)) == pytest.approx(sum(map(sum, facts["values"]["pathcam-h"])), rel=0.02)


WINDOW = ("--model", "tiny.py:blocks", "--layer", "0.0")
"""A head of one window: its coalitions come from a table, and the sampling has a control variate."""
COST = (
    "look-ups in a table and what follows the sum each: behind the layer the output is a function of a sum over what "
)
COST += "windows of positions become"
NOTE = "only the difference from a linearised game was sampled, whose values are known in closed form"


class TestWhatACoalitionCosts:
    """Every command says it in the same words, with what the sampling noted."""

    @pytest.mark.usefixtures("tiny")
    @pytest.mark.parametrize("command", ["explain", "compare", "interactions", "fidelity"])
    def test_in_words(self, run, hopper, command):
        method = () if command == "interactions" else ("--method", "sampledshapley", "--tolerance", 0.2)
        ran = run(command, hopper, *WINDOW, *method, "--quiet")
        assert (ran.code, ran.err) == (0, "")
        assert f"  coalitions {COST}\n" in ran.out
        assert f"  notes      {NOTE}\n" in ran.out

    @pytest.mark.usefixtures("tiny")
    @pytest.mark.parametrize("command", ["explain", "compare", "interactions", "fidelity"])
    def test_in_json(self, run, hopper, command):
        method = () if command == "interactions" else ("--method", "sampledshapley", "--tolerance", 0.2)
        document = json.loads(run(command, hopper, *WINDOW, *method, "--json", "--quiet").out)
        assert document["coalition_cost"] == COST
        assert (document["explained"][0] if command == "explain" else document)["notes"] == [NOTE]

    def test_methods_that_play_none_say_nothing(self, run, tiny, hopper):
        ran = run("explain", hopper, "--model", tiny, "--method", "pathcam", "--method", "gradcam")
        assert "coalition" not in ran.out


@pytest.mark.parametrize("rounds", [0, 4])
def test_interactions(run, tiny, hopper, tmp_path, rounds):
    ran = run("interactions", hopper, "--model", tiny, "--rounds", rounds, "--strongest", 5, "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert len(document["pairs"]) == 5
    sizes = [abs(pair["interaction"]) for pair in document["pairs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 0
    assert all((pair["stderr"] is None) == (rounds == 0) for pair in document["pairs"])
    assert re.fullmatch(r"grace_hopper_[a-z]+-\d_interactions\.png", document["written"])
    with Image.open(tmp_path / document["written"]) as picture:
        picture.load()
    printed = run("interactions", hopper, "--model", tiny, "--rounds", rounds)
    assert "row " in printed.out
    assert "column " in printed.out
