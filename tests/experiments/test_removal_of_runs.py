"""Runs with another removal are other runs: named, refused, read again, and said wherever results are shown."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
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

AT_LAYER = replace(QUICK, layers=("features.3",), methods=("hirescam",), metrics=("average_drop",))
"""Before the activation function: the mean over places is not what the head reads."""
MEAN = replace(AT_LAYER, removal="mean")


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    return folder_of(tmp_path_factory.mktemp("data") / "shots", 3)


@pytest.fixture(scope="module")
def zero_run(shots, tmp_path_factory) -> Store:
    return run_evaluation(shots, tmp_path_factory.mktemp("zero") / "run", protocol=AT_LAYER)


@pytest.fixture(scope="module")
def mean_run(shots, tmp_path_factory) -> Store:
    return run_evaluation(shots, tmp_path_factory.mktemp("mean") / "run", protocol=MEAN)


def expected_drops(shots: Path, **removal: object) -> list[float]:
    """Return the average drop of each photograph, by the library alone."""
    explainer = Explainer(tiny_network(), layer="features.3", device="cpu", **removal)
    paths = sorted(shots.iterdir())
    drops = measure(explainer, paths, explainer.compare(paths, ["hirescam"]), "average_drop")
    return drops["average_drop"]["hirescam"].tolist()


def test_numbers_are_those_of_the_library(shots, zero_run, mean_run):
    zero, mean = (run.rows()["average_drop"].to_list() for run in (zero_run, mean_run))
    assert mean == pytest.approx(expected_drops(shots, removal="mean"), abs=1e-6)
    assert zero == pytest.approx(expected_drops(shots), abs=1e-6)
    assert not np.allclose(zero, mean)


def test_reference_photographs_and_tensors(shots, tmp_path):
    reference = folder_of(tmp_path / "reference", 2, first=10)
    protocol = replace(AT_LAYER, removal="mean", reference=(reference,))
    rows = run_evaluation(shots, tmp_path / "run", protocol=protocol).rows()
    expected = expected_drops(shots, removal="mean", reference=sorted(reference.iterdir()))
    assert rows["average_drop"].to_list() == pytest.approx(expected, abs=1e-6)
    tensor = torch.linspace(-1, 1, 12)
    rows = run_evaluation(shots, tmp_path / "tensor", protocol=replace(AT_LAYER, removal=tensor)).rows()
    assert rows["average_drop"].to_list() == pytest.approx(expected_drops(shots, removal=tensor), abs=1e-6)


class TestNames:
    def test_are_in_the_manifest(self, zero_run, mean_run):
        assert zero_run.manifest["protocol"]["removal"] == "zero"
        assert mean_run.manifest["protocol"]["removal"] == "mean"

    def test_of_reference_photographs_are_of_their_content_in_any_order(self, tmp_path):
        reference = folder_of(tmp_path / "a", 2)
        first, second = sorted(reference.iterdir())
        name = Protocol(removal="mean", reference=(first, second)).removal_name
        assert name.startswith("mean of 2 reference photographs (files ")
        assert Protocol(removal="Mean", reference=(second, first)).removal_name == name
        assert Protocol(removal="mean", reference=reference).removal_name == name
        assert Protocol(removal="mean", reference=(first,)).removal_name != name
        first.write_bytes(second.read_bytes())
        assert Protocol(removal="mean", reference=reference).removal_name != name

    def test_tell_protocols_apart(self):
        assert Protocol() == Protocol(removal="zero") != Protocol(removal="mean")
        one, two = Protocol(removal=torch.ones(3)), Protocol(removal=torch.zeros(3))
        assert one == Protocol(removal=torch.ones(3)) != two
        assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301  # what was pickled here
        assert replace(one, seed=1).removal_name == one.removal_name

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"removal": "men"}, "removal 'men' is unknown; did you mean 'mean'?"),
            ({"removal": torch.relu}, "removal is a function, whose name does not say what it makes"),
            ({"reference": ("no.jpg",)}, "reference= was given with removal 'zero'; expected removal='mean'"),
            ({"removal": "mean", "reference": ("no.jpg",)}, "reference=: no.jpg: cannot be read"),
        ],
    )
    def test_that_are_none(self, options, says):
        with pytest.raises(OptionError) as caught:
            Protocol(**options)
        assert str(caught.value).startswith(says)
        assert "\n" not in str(caught.value)


class TestGoingOn:
    def test_with_another_removal_is_refused(self, shots, zero_run, mean_run):
        with pytest.raises(
            OptionError, match=r"holds results of another run: protocol\.removal was 'zero', is 'mean';"
        ):
            run_evaluation(shots, Path(str(zero_run.storage)), protocol=MEAN)
        with pytest.raises(OptionError, match=r"protocol\.removal was 'mean', is 'zero';"):
            run_evaluation(shots, Path(str(mean_run.storage)), protocol=AT_LAYER)

    def test_a_run_from_before_there_was_a_choice_is_of_zero(self, shots, zero_run, mean_run, tmp_path):
        """Its manifest does not name a removal: it goes on with zero, is refused another, and shares tables of zero."""
        manifest = json.loads(zero_run.storage.read("manifest.json"))
        del manifest["protocol"]["removal"]
        old = tmp_path / "old"
        old.mkdir()
        (old / "manifest.json").write_text(json.dumps({**manifest, "identity": run_identity(manifest)}))
        again = run_evaluation(shots, old, protocol=AT_LAYER)
        assert again.rows().equals(zero_run.rows())
        assert "removal" not in again.manifest["protocol"]
        with pytest.raises(OptionError, match=r"protocol\.removal was 'zero', is 'mean';"):
            run_evaluation(shots, old, protocol=MEAN)
        assert not any("removal" in sentence for sentence in describe_deviations([again]))
        assert summarise_runs([again]).removal == "zero"
        with pytest.raises(OptionError, match=r"cannot share a table: removal was 'zero', is 'mean'"):
            summarise_runs([again, mean_run])

    def test_with_changed_reference_photographs_is_refused(self, shots, tmp_path):
        reference = folder_of(tmp_path / "reference", 1, first=10)
        protocol = replace(AT_LAYER, removal="mean", reference=(reference,))
        folder_of(tmp_path / "other", 1, first=20)
        (tmp_path / "other/0020.jpg").replace(reference / "0010.jpg")
        with pytest.raises(OptionError, match="the photographs were changed since the run began; put them back"):
            run_evaluation(shots, tmp_path / "run", protocol=protocol)


class TestResults:
    def test_say_it(self, zero_run, mean_run):
        sentence = "Removal mean: it replaced the content of absent places; the paper uses zero."
        for run, is_said in ((zero_run, False), (mean_run, True)):
            summary = summarise_runs([run])
            assert [sentence in table.notes for table in text_tables(summary)] == [is_said]
            assert tidy(summary).splitlines()[1].endswith(",mean,full,none" if is_said else ",zero,full,none")
            assert any("removal was 'zero', is 'mean'" in text for text in describe_deviations([run])) == is_said

    def test_a_report_says_it(self, mean_run, zero_run):
        page = render_runs([mean_run], None).decode()
        assert "Absent places have the mean over the photograph" in page
        assert "zero, as in the paper," in render_runs([zero_run], None).decode()

    def test_maps_are_made_with_it(self, shots, mean_run, monkeypatch):
        monkeypatch.setattr(MapReproducer, "_load", lambda *_: tiny_network())
        comparison = MapReproducer([mean_run]).maps("tiny", "features.3", "rest", 0, 2)
        assert comparison["hirescam"].removal == "mean"

    def test_maps_of_what_has_no_name_are_refused(self, shots, tmp_path, monkeypatch):
        run = run_evaluation(shots, tmp_path / "run", protocol=replace(AT_LAYER, removal=torch.ones(12)))
        monkeypatch.setattr(MapReproducer, "_load", lambda *_: tiny_network())
        with pytest.raises(OptionError, match=r"the run was made with removal 'tensor \w+', and its manifest has only"):
            MapReproducer([run]).maps("tiny", "features.3", "rest", 0, 2)
