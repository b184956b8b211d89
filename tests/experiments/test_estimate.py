"""How long an evaluation will take."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.small_evaluations import (
    HERE,
    QUICK,
    RecordingListener,
    folder_of,
    plain,
    raises,
    run_evaluation,
    tiny_network,
)
from shapleycam.experiments import Evaluation
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.estimate import run_trials
from shapleycam.experiments.evaluated_model import EvaluatedModel

pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning")


def evaluation(data: Path, out: Path, *models) -> Evaluation:
    return Evaluation(models or (tiny_network(),), open_dataset(data), QUICK, out, settings=HERE)


def test_one_trial_a_model_and_nothing_is_written(shots, tmp_path):
    trials = list(run_trials(evaluation(shots, tmp_path / "out", tiny_network(), tiny_network(1, "other")), images=3))
    assert [trial.model for trial in trials] == ["tiny", "other"]
    for trial in trials:
        assert trial.images == 70
        assert 0 < trial.seconds_per_image < 60
        assert trial.seconds == pytest.approx(trial.seconds_per_image * 70)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_images_that_are_measured_already_do_not_count(shots, tmp_path):
    models = [tiny_network(), tiny_network(1, "other")]
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(shots, tmp_path, models, listener=RecordingListener(33, raises(KeyboardInterrupt())))
    assert [trial.images for trial in run_trials(evaluation(shots, tmp_path, *models))] == [38, 70]
    run_evaluation(shots, tmp_path, models)
    assert [trial.seconds for trial in run_trials(evaluation(shots, tmp_path, *models))] == [0, 0]


def test_a_model_that_is_done_is_not_loaded(shots, tmp_path, monkeypatch):
    run_evaluation(shots, tmp_path, tiny_network(), limit=3)
    monkeypatch.setattr(EvaluatedModel, "load", raises(AssertionError("was loaded")))
    done = Evaluation([tiny_network()], open_dataset(shots, 3), QUICK, tmp_path, settings=HERE)
    assert [trial.images for trial in run_trials(done)] == [0]


def test_takes_the_first_images_that_can_be_read(tmp_path):
    data = folder_of(tmp_path / "data", 4)
    for index in (0, 1):
        (data / f"{index:04d}.jpg").write_bytes(b"")
    assert len(list(run_trials(evaluation(data, tmp_path / "out"), images=3))) == 1
    for index in (2, 3):
        (data / f"{index:04d}.jpg").write_bytes(b"")
    assert list(run_trials(evaluation(data, tmp_path / "out"))) == []


def test_preprocessing_that_is_not_ours(shots, tmp_path):
    (trial,) = run_trials(evaluation(shots, tmp_path / "out", tiny_network(preprocess=plain)))
    assert trial.seconds > 0
