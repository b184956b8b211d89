"""`--timings`: where the time of a command goes."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from shapleycam.cli.timings import Timings

LINE = re.compile(r"time  (.+?) +(\d+\.\d\d) s")


def seconds_of(err: str) -> dict[str, float]:
    matches = [LINE.fullmatch(line) for line in err.splitlines()]
    assert matches
    assert all(matches)
    return {match[1]: float(match[2]) for match in matches}


def test_phases_are_added_up_and_short_ones_left_out():
    timings = Timings({"starting": 1.0, "thinking": 0.001})
    for _ in range(2):
        with timings.of("waiting"):
            time.sleep(0.05)
    seconds = seconds_of("\n".join(timings.lines()))
    assert list(seconds) == ["starting", "waiting", "total"]
    assert 0.1 <= seconds["waiting"] < 2
    assert abs(seconds["total"] - seconds["starting"] - seconds["waiting"]) < 0.02


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> tuple[str, set[str]]:
    """What an explanation with --timings prints on stderr, and the modules that its process has imported."""
    code = (
        "import sys\nfrom shapleycam.__main__ import main\nsys.argv = ['shapleycam', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "finally:\n    print('imported', *sorted(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "explain", "--quiet", "--timings"]
    folder = tmp_path_factory.mktemp("timed")
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    lines, _, imported = ran.stderr.rpartition("imported ")
    return lines, set(imported.split())


def test_the_phases_of_an_explanation_on_stderr(printed):
    seconds = seconds_of(printed[0])
    assert {"starting", "importing torch", "importing torchvision", "loading the model", "explaining"} <= set(seconds)
    assert abs(sum(seconds.values()) - 2 * seconds["total"]) < 0.1


def test_without_it_nothing_is_printed_on_stderr(run, hopper):
    ran = run("explain", hopper, "--timings")
    assert ran.code == 0
    assert "total" in seconds_of(ran.err)
    assert run("explain", hopper).err == ""


def test_beside_a_cluster_it_is_refused(run, hopper):
    ran = run("explain", hopper, "--timings", "--engine", "ray")
    assert ran.code == 2
    assert "--timings and --engine ray were both given; times are of this process" in ran.err


def test_an_explanation_imports_what_it_needs(printed):
    _, imported = printed
    assert {"torch", "timm"} <= imported
    unneeded = {"scipy", "pyarrow", "polars", "transformers", "ray", "matplotlib", "jinja2"}
    assert not unneeded & imported
