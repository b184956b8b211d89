"""Photographs and a finished run that the tests of evaluations read and do not change."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.small_evaluations import folder_of, run_evaluation
from shapleycam.experiments import Store


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 70 small photographs: three chunks of a run."""
    return folder_of(tmp_path_factory.mktemp("shots"), 70)


@pytest.fixture(scope="session")
def finished(shots: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished run of three quick methods on these photographs."""
    return run_evaluation(shots, tmp_path_factory.mktemp("runs") / "finished")
