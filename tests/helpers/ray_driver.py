"""An evaluation on a cluster as a process of its own, which tests may kill: ADDRESS DATA OUT."""

from __future__ import annotations

import sys
import warnings

from helpers.slow_network import slow
from helpers.small_evaluations import QUICK, run_evaluation
from shapleycam.experiments import RunSettings
from shapleycam.experiments.engines import Ray

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    address, data, out = sys.argv[1:]
    run_evaluation(data, out, slow(), QUICK, settings=RunSettings(batch_size=8, engine=Ray(address)))
