"""`shapleycam metrics --check` as a user types it."""

from __future__ import annotations

import csv
import json

import pytest

from helpers.small_evaluations import folder_of

METHODS = ("--method", "gradcam", "--method", "layercam", "--method", "pathcam-h")
ASKED = ("--metric", "average_drop", "--metric", "complexity", *METHODS)


@pytest.fixture
def photographs(tmp_path):
    return folder_of(tmp_path / "photos", 3)


def test_the_table_and_the_sentence(run, tiny, photographs):
    ran = run("metrics", "--check", photographs, "--model", tiny, *ASKED)
    assert ran.code == 0
    # x and x·M of three methods and RandomCAM, in three conditions.
    assert "note: at most 15 forward passes for each of 3 photographs, 45 in all" in ran.err
    rows = [line.split()[0] for line in ran.out.splitlines() if line.startswith(("average_drop ", "complexity "))]
    assert rows == ["average_drop", "complexity"]
    assert ran.out.strip().splitlines()[-1].startswith("On 3 images and 3 methods ")


def test_json_and_csv_are_the_same_scores(run, tiny, photographs, tmp_path):
    file = tmp_path / "out" / "scores.csv"
    ran = run(
        "metrics", "--check", photographs, "--model", tiny, *ASKED, "--limit", 2, "--csv", file, "--json", "--quiet"
    )
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert (document["images"], document["methods"]) == (2, ["gradcam", "layercam", "pathcam-h"])
    rows = {(row["metric"], row["score"]): row for row in csv.DictReader(file.read_text().splitlines())}
    assert len(rows) == 2 * 4
    for metric in document["metrics"]:
        for score in ("separation", "reaction", "resilience", "agreement"):
            mean = rows[metric["metric"], score]["mean"]
            assert (float(mean) if mean else None) == metric[score]["mean"]
    assert [(pair["first"], pair["second"]) for pair in document["pairs"]] == [("average_drop", "complexity")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--limit", 3), "add --check and photographs"),
        (
            ("--check", "PHOTOS", "--metric", "max_sensitivity"),
            "explanations of other images than the given ones",
        ),
        (("--check", "PHOTOS", "--method", "gradcam"), "expected at least 3"),
        (("--check", "PHOTOS", "--metric", "insertio"), "insertion"),
    ],
)
def test_refusals(refused, photographs, options, message):
    assert message in refused("metrics", *(photographs if option == "PHOTOS" else option for option in options))


def test_a_folder_without_photographs(refused, tmp_path):
    assert "without pictures" in refused("metrics", "--check", tmp_path)
