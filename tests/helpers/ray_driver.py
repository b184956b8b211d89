"""An evaluation on a cluster as a process of its own, which tests may kill: ADDRESS DATA OUT."""

from __future__ import annotations

import sys
import warnings
from unittest import mock

from helpers.slow_network import slow
from helpers.small_evaluations import QUICK, run_evaluation
from shapleycam.experiments import RunSettings
from shapleycam.experiments.engines import Ray

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    address, data, out = sys.argv[1:]
    settings = RunSettings(batch_size=8, engine=Ray(address))
    # Without the process that finds out first whether the address is Ray's: here it is known to be.
    with mock.patch("shapleycam.experiments.engines.ray.cluster._check_is_ray"):
        run_evaluation(data, out, slow(), QUICK, settings=settings)
