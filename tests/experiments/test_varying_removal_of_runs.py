"""Runs with removals that have no single removed image: imputation, and reference photographs one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.small_evaluations import QUICK, folder_of, run_evaluation, tiny_network
from shapleycam import Explainer
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol
from shapleycam.experiments.passes import passes_of_image
from shapleycam.metrics import measure
from shapleycam.report.map_reproducer import MapReproducer

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.BlankHeatmapWarning")
AT_INPUT = replace(
    QUICK, layers=("input",), methods=("exactshapley",), metrics=("average_drop",), players=(2, 2), removal="impute"
)


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("data") / "shots", 3)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("data") / "others", 2)


@pytest.mark.parametrize("removal", ["impute", "samples"])
def test_numbers_are_those_of_the_library(shots, others, tmp_path, removal):
    reference = sorted(others.iterdir()) if removal == "samples" else None
    explainer = Explainer(tiny_network(), layer="input", device="cpu", removal=removal, reference=reference)
    paths = sorted(shots.iterdir())
    comparison = explainer.compare(paths, ["exactshapley"], players=(2, 2))
    expected = measure(explainer, paths, comparison, "average_drop")["average_drop"]["exactshapley"]
    protocol = replace(AT_INPUT, removal=removal, reference=tuple(reference or ()))
    store = run_evaluation(shots, tmp_path / "run", protocol=protocol)
    assert store.rows()["average_drop"].to_list() == pytest.approx(expected.tolist(), abs=1e-6)
    assert store.manifest["protocol"]["removal"].split()[0] == removal
    assert run_evaluation(shots, tmp_path / "run", protocol=protocol).rows().equals(store.rows())
    with pytest.raises(OptionError, match="removal"):
        run_evaluation(shots, tmp_path / "run", protocol=replace(AT_INPUT, removal="zero", reference=()))


def test_maps_of_imputation_are_made_again(shots, tmp_path, monkeypatch):
    store = run_evaluation(shots, tmp_path / "run", protocol=AT_INPUT)
    monkeypatch.setattr(MapReproducer, "_load", lambda *_: tiny_network())
    comparison = MapReproducer([store]).maps("tiny", "input", "rest", 0, 2)
    explainer = Explainer(tiny_network(), layer="input", device="cpu", removal="impute")
    expected = explainer.explain(min(shots.iterdir()), "exactshapley", target=2, players=(2, 2))
    torch.testing.assert_close(comparison["exactshapley"].values[:1], expected.values)


def test_each_reference_photograph_is_a_run_of_every_coalition(others):
    photographs = tuple(sorted(others.iterdir()))
    zero = passes_of_image(replace(AT_INPUT, removal="zero"), [["exactshapley"]], players=4)
    samples = passes_of_image(
        replace(AT_INPUT, removal="samples", reference=photographs), [["exactshapley"]], players=4
    )
    assert (zero.head, samples.head) == (16, 32)
    assert zero.forward == samples.forward


def test_a_run_by_samples_needs_photographs():
    with pytest.raises(
        OptionError, match="removal 'samples' takes reference photographs to stand in; give them as ref"
    ):
        Protocol(layers=("input",), removal="samples")


def test_methods_that_go_towards_a_removed_image_are_refused(shots, tmp_path):
    protocol = replace(AT_INPUT, methods=("hirescam",), players=None)
    with pytest.raises(Exception, match="method 'hirescam' goes from the image to one in which all is removed"):
        run_evaluation(shots, tmp_path / "run", protocol=protocol)
