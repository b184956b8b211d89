"""`--precision` of `evaluate`: written with the results, and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

LAYER = ("--model", "tiny.py:network", "--layer", "convolution")


def test_a_run_in_bfloat16(run, tiny, hopper, refused):
    chosen = ("--method", "hirescam", "--metric", "average_drop", "--out", "run", "--quiet")
    ran = run("evaluate", hopper, *LAYER, *chosen, "--precision", "bfloat16")
    assert (ran.code, ran.err) == (0, "")
    assert "Precision bfloat16: of the network before the layer" in run("table", "run").out
    assert json.loads(Path("run/manifest.json").read_text())["protocol"]["precision"] == "bfloat16"
    assert "protocol.precision was 'bfloat16', is 'full'" in refused("evaluate", hopper, *LAYER, *chosen)
    assert "did you mean 'bfloat16'" in refused("evaluate", hopper, *LAYER, *chosen, "--precision", "bfloat")
