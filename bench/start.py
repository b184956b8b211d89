"""What `shapleycam explain` takes beside importing torch and timm, from the prompt to the picture of one photograph.

python bench/start.py [--rounds N]        prints the table and writes bench/results/start.md
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from measure import machine, report

LIBRARIES = [sys.executable, "-c", "import torch, timm"]
EXPLAIN = [sys.executable, "-m", "shapleycam", "explain", "--quiet"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Compiled modules are kept, as pip keeps those of an installed package; else each start compiles ours anew."""


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Return the wall time of a process, and the processor's time that it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure both, alternating."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    seconds_of(EXPLAIN)
    pairs = [(seconds_of(LIBRARIES), seconds_of(EXPLAIN)) for _ in range(options.rounds)]

    def row(kind: str, index: int) -> str:
        libraries = statistics.median(of_libraries[index] for of_libraries, _ in pairs)
        explain = statistics.median(of_explain[index] for _, of_explain in pairs)
        beyond = statistics.median(of_explain[index] - of_libraries[index] for of_libraries, of_explain in pairs)
        return f"| {kind} | {libraries:.2f} s | {explain:.2f} s | {beyond:.2f} s |"

    with tempfile.TemporaryDirectory() as folder:
        timed = subprocess.run(
            [*EXPLAIN, "--timings"], check=True, capture_output=True, text=True, cwd=folder, env=ENVIRONMENT
        )
    text = f"""# The start of the command line

`python bench/start.py --rounds {options.rounds}` on: {machine("timm")}.

`shapleycam explain` of the photograph that comes along (three classes), beside a process that imports torch and timm
alone, alternating; medians. Budget of the difference on a quiet machine: 1 s of wall time.

| time | import torch, timm | shapleycam explain | difference |
|---|---|---|---|
{row("wall", 0)}
{row("processor, all threads", 1)}

Where it goes, as `--timings` prints it for one run:

```text
{timed.stderr.strip()}
```
"""
    report("start.md", text)


if __name__ == "__main__":
    main()
