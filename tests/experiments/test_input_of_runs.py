"""Runs at the layer "input": their numbers are the library's, and they go on as others do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.small_evaluations import QUICK, folder_of, run_evaluation, tiny_network
from shapleycam import Explainer
from shapleycam.errors import OptionError
from shapleycam.experiments import Protocol
from shapleycam.metrics import measure

AT_INPUT = replace(QUICK, layers=("input",), methods=("hirescam",), metrics=("average_drop",), removal="blur")


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("data") / "shots", 3)


@pytest.fixture(scope="module")
def finished(shots, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "input"
    return folder, run_evaluation(shots, folder, protocol=AT_INPUT)


def test_numbers_are_those_of_the_library(shots, finished):
    explainer = Explainer(tiny_network(), layer="input", device="cpu", removal="blur")
    paths = sorted(shots.iterdir())
    expected = measure(explainer, paths, explainer.compare(paths, ["hirescam"]), "average_drop")["average_drop"]
    rows = finished[1].rows()
    assert rows["average_drop"].to_list() == pytest.approx(expected["hirescam"].tolist(), abs=1e-6)
    assert rows["layer"].unique().to_list() == ["input"]


def test_the_manifest_names_layer_and_removal_and_the_run_is_read_again(shots, finished):
    folder, store = finished
    protocol = store.manifest["protocol"]
    assert (protocol["layers"], protocol["removal"]) == (["input"], "blur")
    again = run_evaluation(shots, folder, protocol=AT_INPUT)
    assert again.rows().equals(store.rows())
    with pytest.raises(OptionError, match="removal"):
        run_evaluation(shots, folder, protocol=replace(AT_INPUT, removal="zero"))


def test_regions_are_sampled_within_the_runs_of_the_input(shots, tmp_path):
    protocol = replace(AT_INPUT, methods=("sampledshapley",), players=(2, 2), tolerance=1.0)
    rows = run_evaluation(shots, tmp_path / "run", protocol=protocol).rows()
    assert rows["status"].unique().to_list() == ["ok"]


def test_more_players_than_can_be_resolved_are_refused(shots, tmp_path):
    protocol = Protocol(layers=("input",), methods=("sampledshapley",), metrics=("average_drop",))
    with pytest.raises(OptionError, match="1,024 players at layer 'input', each a run of the whole model"):
        run_evaluation(shots, tmp_path / "run", protocol=protocol)


def test_the_runs_of_the_protocol_are_the_limit(shots, tmp_path):
    """The limit of runs decides which players are refused; runs with another limit are another evaluation."""
    protocol = replace(AT_INPUT, methods=("leaveoneout",), players=(2, 2), runs=3)
    with pytest.raises(OptionError, match="expected at most 3: make fewer regions the players, or allow more"):
        run_evaluation(shots, tmp_path / "refused", protocol=protocol)
    store = run_evaluation(shots, tmp_path / "run", protocol=replace(protocol, runs=4))
    assert store.manifest["protocol"]["runs"] == 4
    with pytest.raises(OptionError, match=r"protocol.runs was 4, is 5"):
        run_evaluation(shots, tmp_path / "run", protocol=replace(protocol, runs=5))
    with pytest.raises(OptionError, match="runs is 0; expected 1 or more, or None"):
        replace(protocol, runs=0)
