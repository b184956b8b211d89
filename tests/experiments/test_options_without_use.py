"""Options on which no row of an evaluation depends: the run says so, as an explanation does."""

from __future__ import annotations

import warnings

import pytest

from helpers.small_evaluations import folder_of, run_evaluation
from shapleycam.errors import OptionNotUsedWarning, PlayersNotUsedWarning
from shapleycam.experiments import Protocol

METHODS = ("gradcam", "hirescam")


@pytest.mark.parametrize(
    ("options", "category", "name"),
    [
        ({"nodes": 3}, OptionNotUsedWarning, "nodes"),
        ({"tolerance": 0.2}, OptionNotUsedWarning, "tolerance"),
        ({"players": (2, 2)}, PlayersNotUsedWarning, "players"),
    ],
)
def test_the_run_warns(tmp_path, options, category, name):
    with pytest.warns(category, match=f"{name}= is not used by gradcam, hirescam: "):
        run_evaluation(
            folder_of(tmp_path / "shots", 1), tmp_path / "run", protocol=Protocol(methods=METHODS, **options)
        )


@pytest.mark.parametrize(
    ("methods", "metrics", "options"),
    [
        (("gradcam", "pathcam-h"), ("coherency",), {"nodes": 3}),
        (("gradcam", "sampledshapley"), ("coherency",), {"tolerance": 0.2, "players": (2, 2)}),
        (("gradcam",), ("shapley_error",), {"players": (2, 2)}),
    ],
)
def test_nothing_is_said_of_what_is_used(tmp_path, methods, metrics, options):
    protocol = Protocol(methods=methods, metrics=metrics, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptionNotUsedWarning)
        run_evaluation(folder_of(tmp_path / "shots", 1), tmp_path / "run", protocol=protocol)
