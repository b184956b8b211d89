"""Runs in bfloat16 before the layer are other runs: numbers, names, refusals, and what is said where they are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.small_evaluations import QUICK, folder_of, run_evaluation, tiny_network
from shapleycam import Explainer
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol, Store
from shapleycam.experiments.deviations import describe_deviations
from shapleycam.experiments.manifest import run_identity
from shapleycam.experiments.merging import summarise_runs
from shapleycam.experiments.results import tidy
from shapleycam.experiments.results.text_tables import text_tables
from shapleycam.metrics import measure
from shapleycam.report import render_runs
from shapleycam.report.map_reproducer import MapReproducer

FULL = replace(QUICK, layers=("features.3",), methods=("hirescam",), metrics=("average_drop",))
REDUCED = replace(FULL, precision="bfloat16")


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    return folder_of(tmp_path_factory.mktemp("data") / "shots", 3)


@pytest.fixture(scope="module")
def full_run(shots, tmp_path_factory) -> Store:
    return run_evaluation(shots, tmp_path_factory.mktemp("full") / "run", protocol=FULL)


@pytest.fixture(scope="module")
def reduced_run(shots, tmp_path_factory) -> Store:
    return run_evaluation(shots, tmp_path_factory.mktemp("reduced") / "run", protocol=REDUCED)


def test_numbers_are_those_of_the_library(shots, full_run, reduced_run):
    explainer = Explainer(tiny_network(), layer="features.3", device="cpu", precision="bfloat16")
    paths = sorted(shots.iterdir())
    drops = measure(explainer, paths, explainer.compare(paths, ["hirescam"]), "average_drop")["average_drop"]
    reduced, full = (run.rows()["average_drop"].to_list() for run in (reduced_run, full_run))
    assert reduced == pytest.approx(drops["hirescam"].tolist(), abs=1e-6)
    assert reduced != full
    assert np.allclose(reduced, full, atol=0.1)


def test_it_is_a_part_of_the_protocol(full_run, reduced_run):
    assert Protocol() == Protocol(precision="full") != Protocol(precision="bfloat16")
    assert full_run.manifest["protocol"]["precision"] == "full"
    assert reduced_run.manifest["protocol"]["precision"] == "bfloat16"
    with pytest.raises(OptionError, match="precision='bflot16'; did you mean 'bfloat16'"):
        Protocol(precision="bflot16")


def test_a_run_goes_on_in_its_own_precision_only(shots, full_run, reduced_run):
    with pytest.raises(OptionError, match=r"another run: protocol\.precision was 'full', is 'bfloat16';"):
        run_evaluation(shots, Path(str(full_run.storage)), protocol=REDUCED)
    with pytest.raises(OptionError, match=r"protocol\.precision was 'bfloat16', is 'full';"):
        run_evaluation(shots, Path(str(reduced_run.storage)), protocol=FULL)
    with pytest.raises(OptionError, match=r"cannot share a table: precision was 'full', is 'bfloat16'"):
        summarise_runs([full_run, reduced_run])


def test_a_run_from_before_there_was_a_choice_is_in_full_precision(shots, full_run, tmp_path):
    manifest = json.loads(full_run.storage.read("manifest.json"))
    del manifest["protocol"]["precision"]
    old = tmp_path / "old"
    old.mkdir()
    (old / "manifest.json").write_text(json.dumps({**manifest, "identity": run_identity(manifest)}))
    again = run_evaluation(shots, old, protocol=FULL)
    assert again.rows().equals(full_run.rows())
    assert summarise_runs([again]).precision == "full"
    assert not any("precision" in sentence for sentence in describe_deviations([again]))
    with pytest.raises(OptionError, match=r"protocol\.precision was 'full', is 'bfloat16';"):
        run_evaluation(shots, old, protocol=REDUCED)


def test_tables_and_reports_say_it(full_run, reduced_run):
    sentence = "Precision bfloat16: of the network before the layer; the network after it ran in float32."
    for run, is_said in ((full_run, False), (reduced_run, True)):
        summary = summarise_runs([run])
        assert [sentence in table.notes for table in text_tables(summary)] == [is_said]
        assert tidy(summary).splitlines()[1].endswith(",bfloat16,none" if is_said else ",full,none")
        assert any("precision was 'full', is 'bfloat16'" in text for text in describe_deviations([run])) == is_said
        page = render_runs([run], None).decode()
        assert ("What comes before the layer ran in bfloat16" in page) == is_said


def test_maps_are_made_with_it(reduced_run, monkeypatch):
    monkeypatch.setattr(MapReproducer, "_load", lambda *_: tiny_network())
    comparison = MapReproducer([reduced_run]).maps("tiny", "features.3", "rest", 0, 2)
    assert comparison["hirescam"].precision == "bfloat16"
