"""Runs of smoothed maps are other runs: numbers, names, refusals, and what is said where they are shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

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

METRICS = ("average_drop", "coherency", "shapley_error", "shapley_spearman")
PLAIN = replace(QUICK, layers=("features.3",), methods=("hirescam", "gradcam++"), metrics=METRICS)
SMOOTHED = replace(PLAIN, smooth=("eigen", "noise"))


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    return folder_of(tmp_path_factory.mktemp("data") / "shots", 2)


@pytest.fixture(scope="module")
def plain_run(shots, tmp_path_factory) -> Store:
    return run_evaluation(shots, tmp_path_factory.mktemp("plain") / "run", protocol=PLAIN)


@pytest.fixture(scope="module")
def smoothed_run(shots, tmp_path_factory) -> Store:
    return run_evaluation(shots, tmp_path_factory.mktemp("smoothed") / "run", protocol=SMOOTHED)


def test_numbers_are_those_of_the_library(shots, plain_run, smoothed_run):
    explainer, paths = Explainer(tiny_network(), layer="features.3", device="cpu"), sorted(shots.iterdir())
    explanations = explainer.compare(paths, PLAIN.methods, smooth=["eigen", "noise"])
    measured = measure(explainer, paths, explanations, METRICS[:2])
    rows = {run: run.rows().sort("method", "index") for run in (plain_run, smoothed_run)}
    for metric in METRICS[:2]:
        expected = [*measured[metric]["gradcam++"].tolist(), *measured[metric]["hirescam"].tolist()]
        assert rows[smoothed_run][metric].to_list() == pytest.approx(expected, abs=1e-5)
        assert rows[plain_run][metric].to_list() != pytest.approx(expected, abs=1e-3)


def test_smoothed_values_have_an_order_and_no_units(plain_run, smoothed_run):
    of_hirescam = [run.rows().to_pandas().query("method == 'hirescam'") for run in (plain_run, smoothed_run)]
    assert [bool(rows["shapley_error"].isna().all()) for rows in of_hirescam] == [False, True]
    assert not any(rows["shapley_spearman"].isna().any() for rows in of_hirescam)


def test_it_is_a_part_of_the_protocol(plain_run, smoothed_run):
    assert Protocol() == Protocol(smooth=None) == Protocol(smooth="none") != Protocol(smooth="augment")
    assert Protocol(smooth="Noise, augment").smooth == Protocol(smooth=["augment", "noise"]).smooth
    assert plain_run.manifest["protocol"]["smooth"] == "none"
    assert smoothed_run.manifest["protocol"]["smooth"] == "eigen,noise"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth": "augmet"}, "smooth='augmet' is unknown; did you mean 'augment'"),
        ({"smooth": ""}, "smooth='' names no smoothing"),
        ({"smooth": "none,eigen"}, "smooth='none' is unknown"),
        ({"smooth": "eigen", "methods": ("gradcam", "sampledshapley")}, "without channels.* are sampledshapley"),
        ({"smooth": "augment", "players": (2, 2)}, "the players are regions of the image"),
        ({"smooth": "augment", "removal": torch.ones(4)}, "removal 'tensor .*' may differ from place to place"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(options, message):
    with pytest.raises(OptionError, match=message):
        Protocol(**options)


def test_removal_by_each_images_mean_can_be_mirrored():
    assert Protocol(smooth="augment", removal="mean").smooth == ("augment",)


def test_a_run_goes_on_with_its_own_smoothing_only(shots, plain_run, smoothed_run):
    with pytest.raises(OptionError, match=r"another run: protocol\.smooth was 'none', is 'eigen,noise';"):
        run_evaluation(shots, Path(str(plain_run.storage)), protocol=SMOOTHED)
    with pytest.raises(OptionError, match=r"protocol\.smooth was 'eigen,noise', is 'none';"):
        run_evaluation(shots, Path(str(smoothed_run.storage)), protocol=PLAIN)
    with pytest.raises(OptionError, match=r"cannot share a table: smooth was 'none', is 'eigen,noise'"):
        summarise_runs([plain_run, smoothed_run])


def test_a_run_from_before_there_was_a_choice_is_not_smoothed(shots, plain_run, tmp_path):
    manifest = json.loads(plain_run.storage.read("manifest.json"))
    del manifest["protocol"]["smooth"]
    old = tmp_path / "old"
    old.mkdir()
    (old / "manifest.json").write_text(json.dumps({**manifest, "identity": run_identity(manifest)}))
    again = run_evaluation(shots, old, protocol=PLAIN)
    assert again.rows().equals(plain_run.rows())
    assert summarise_runs([again]).smooth == "none"
    assert not any("smooth" in sentence for sentence in describe_deviations([again]))
    with pytest.raises(OptionError, match=r"protocol\.smooth was 'none', is 'eigen,noise';"):
        run_evaluation(shots, old, protocol=SMOOTHED)


def test_tables_and_reports_say_it(plain_run, smoothed_run):
    sentence = "Maps smoothed by eigen, noise: their values divide no score."
    for run, is_said in ((plain_run, False), (smoothed_run, True)):
        summary = summarise_runs([run])
        assert [sentence in table.notes for table in text_tables(summary)] == [is_said]
        assert tidy(summary).splitlines()[0].endswith(",smooth")
        assert tidy(summary).splitlines()[1].endswith(',"eigen,noise"' if is_said else ",none")
        assert any("smooth was 'none', is 'eigen,noise'" in text for text in describe_deviations([run])) == is_said
        page = render_runs([run], None).decode()
        assert ("Maps were smoothed by eigen, noise" in page) == is_said


def test_maps_are_made_with_it(smoothed_run, monkeypatch):
    monkeypatch.setattr(MapReproducer, "_load", lambda *_: tiny_network())
    comparison = MapReproducer([smoothed_run]).maps("tiny", "features.3", "rest", 0, 2)
    assert comparison["hirescam"].smooth == ("eigen", "noise")
