"""What is known of the tables without torch is what the tables say."""

from __future__ import annotations

import subprocess
import sys
from inspect import signature

import pytest
from torchvision.transforms import InterpolationMode

from shapleycam.experiments.manifest_check import INTERPOLATIONS
from shapleycam.experiments.rows import CURVES
from shapleycam.metrics import METRICS
from shapleycam.metrics.table import named_quantities, required_quantities


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_name_functions_of_what_they_need(metric):
    signature(METRICS[metric].function).bind(*METRICS[metric].needs)


def test_the_ways_to_interpolate():
    assert sorted(INTERPOLATIONS) == sorted(mode.value for mode in InterpolationMode)


@pytest.mark.parametrize("metric", METRICS)
def test_curves_are_named_by_the_metrics_that_need_them(metric):
    """`rows.schema_for` looks at the names alone."""
    assert set(CURVES) & named_quantities([metric]) == set(CURVES) & required_quantities([metric])
    assert named_quantities([metric]) <= required_quantities([metric])


WITHOUT_TORCH = (
    *("shapleycam", "shapleycam.cli", "shapleycam.experiments", "shapleycam.experiments.store"),
    *("shapleycam.experiments.merging", "shapleycam.experiments.results", "shapleycam.metrics", "shapleycam.cams"),
    *(
        "shapleycam.utilities",
        "shapleycam.models.paper_networks",
    ),
)


@pytest.mark.slow
def test_modules_that_need_no_torch_import_none():
    code = "import sys\n" + "".join(f"import {name}\n" for name in WITHOUT_TORCH) + "print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"
