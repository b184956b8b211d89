"""What it costs that freed memory goes back to the system: passes with glibc's defaults, and as commands run.

python bench/allocator.py [--rounds N]     prints, and writes bench/results/allocator.md

Each figure is of a process of its own, since the settings are of a process: the median time of a pass, the page faults
of one, and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys

import torch
import torchvision
from torch import nn

from measure import THREADS, machine, peak_resident, report, seconds
from shapleycam.allocator import keep_large_blocks
from shapleycam.models import zoo

NETWORKS = {
    zoo.DEFAULT: lambda: zoo.load_network(zoo.DEFAULT).model,
    "resnet50": lambda: torchvision.models.resnet50().eval(),
}
SIDES = ("glibc's defaults", "as commands run")
BATCHES = (1, 16)


def passes(network: str, batch: int, rounds: int, *, is_kept: bool) -> dict[str, float]:
    """The median seconds and page faults of a pass in this process, and its peak memory in MB."""
    torch.set_num_threads(THREADS)
    if is_kept:
        keep_large_blocks()
    model: nn.Module = NETWORKS[network]()
    images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))

    def call() -> None:
        with torch.inference_mode():
            model(images)

    call()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times = [seconds(call, torch.device("cpu")) for _ in range(rounds)]
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / rounds
    return {"seconds": statistics.median(times), "faults": faults, "megabytes": peak_resident()}


def main() -> None:
    """Measure both sides in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--of", nargs=3, metavar=("NETWORK", "BATCH", "SIDE"))
    options = parser.parse_args()
    if options.of:
        network, batch, side = options.of
        print(json.dumps(passes(network, int(batch), options.rounds, is_kept=side == SIDES[1])))
        return
    lines = [
        "# Memory that is kept between passes",
        "",
        machine("torchvision"),
        "",
        f"A pass of the plain network, median of {options.rounds}; each in a process of its own.",
        "",
        "| network | batch | | ms | page faults | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for network in NETWORKS:
        for batch in BATCHES:
            for side in SIDES:
                command = [sys.executable, __file__, "--rounds", str(options.rounds), "--of", network, str(batch), side]
                ran = subprocess.run(command, capture_output=True, text=True, check=True)
                result = json.loads(ran.stdout.splitlines()[-1])
                figures = f"{1e3 * result['seconds']:.0f} | {result['faults']:,.0f} | {result['megabytes']:.0f}"
                lines.append(f"| {network} | {batch} | {side} | {figures} |")
    report("allocator.md", "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
