"""What the tables and the report of a large run take: seconds and memory of `shapleycam table` and `report`, by size.

python bench/table_scale.py [--images N ...] [--folder DIR]     prints, and writes bench/results/table_scale.md

Runs of the paper's twelve networks, ten methods and six metrics are written by the package's own writer, with random
figures, in chunks of 32 images as an evaluation leaves them. Each command is then a process of its own, of which the
system says the seconds and the peak of the resident memory (what /usr/bin/time -v prints), imports included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from measure import machine, report
from shapleycam.experiments import Protocol, Store
from shapleycam.experiments.rows import schema_for
from shapleycam.experiments.run_opening import open_run
from shapleycam.models import paper

PROTOCOL = Protocol()
SIZES = (5_000, 20_000, 50_000)
COMMANDS = {
    "table": ("table", "{run}", "--out", "{out}/table.md"),
    "table --metric average_drop": ("table", "{run}", "--metric", "average_drop", "--out", "{out}/drop.md"),
    "report --maps 0": ("report", "{run}", "--maps", "0", "--out", "{out}/report.html"),
}
TARGET_SECONDS, TARGET_MEGABYTES = 20, 600
"""Of the table of six million rows."""


STARTER = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds, usage = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""Starts a command, and prints its seconds by the clock and of the processor, and the peak of its memory in KiB."""


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds by the clock and of processors, and MB of resident memory at its peak."""

    seconds: float
    processor: float
    megabytes: float


def write_run(folder: Path, images: int) -> Store:
    """Write a finished run of the twelve networks with random figures."""
    record = {"weights": "0", "code": "0", "layers": {"before-pool": "layer4"}, "origin": "timm", "labels": None}
    manifest = {
        "protocol": PROTOCOL.as_data(),
        "order": list(paper.NETWORKS),
        "models": dict.fromkeys(paper.NETWORKS, record),
        "dataset": {"images": images, "fingerprint": "random"},
        "sessions": [{"dataset": "random figures"}],
    }
    generator = np.random.default_rng(0)
    with open_run(folder, manifest, batch_size=16) as store:
        for model in store.manifest["order"]:
            for chunk in store.chunks():
                store.write(model, chunk, random_table(model, chunk, generator))
    return store


def random_table(model: str, chunk: range, generator: np.random.Generator) -> pa.Table:
    """Return the rows of a chunk: figures that methods share in part; one drop in a thousand is undefined."""
    methods, rows = PROTOCOL.methods, len(chunk) * len(PROTOCOL.methods)
    image = np.repeat(np.arange(chunk.start, chunk.stop), len(methods))
    shared = np.repeat(generator.random((len(chunk), 1)), len(methods))
    metrics = {name: 0.7 * shared + 0.3 * generator.random(rows) for name in PROTOCOL.metrics}
    metrics["average_drop"][generator.random(rows) < 0.001] = np.nan
    columns = {
        "index": image,
        "image": [f"ILSVRC2012_val_{index + 1:08d}.JPEG" for index in image],
        "model": [model] * rows,
        "layer": ["before-pool"] * rows,
        "utility": ["rest"] * rows,
        "method": list(methods) * len(chunk),
        "label": image % 1000,
        "target": image % 1000,
        "probability": shared,
        "status": ["ok"] * rows,
        "message": [None] * rows,
        **metrics,
    }
    return pa.table(columns, schema=schema_for(PROTOCOL.metrics))


def usage_of(arguments: list[str]) -> Usage:
    """Run the command line in a process of its own, started by a small one.

    The system counts as a process's peak what its parent had in memory when it was started.
    """
    program = [sys.executable, "-c", "from shapleycam.cli import main; main()", *arguments]
    output = subprocess.run([sys.executable, "-c", STARTER, *program], check=True, stdout=subprocess.PIPE).stdout
    seconds, processor, kilobytes = map(float, output.split())
    return Usage(seconds, processor, kilobytes / 1024)


def measure(folder: Path, sizes: list[int]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| rows | command | seconds | of processors | of processors, a million rows | peak memory, MB |"
    yield "|---|---|---|---|---|---|"
    start = usage_of(["--version"])
    yield f"| none | --version | {start.seconds:.1f} | {start.processor:.1f} | | {start.megabytes:.0f} |"
    for images in sizes:
        run = folder / str(images)
        if not run.exists():
            write_run(run, images)
        rows = images * len(paper.NETWORKS) * len(PROTOCOL.methods)
        for name, words in COMMANDS.items():
            used = usage_of([word.format(run=run, out=folder) for word in words])
            per_million = 1e6 * used.processor / rows
            yield (
                f"| {rows:,} | {name} | {used.seconds:.1f} | {used.processor:.1f} | {per_million:.1f} | "
                f"{used.megabytes:.0f} |"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", type=Path, help="where runs are written, and kept; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        target = (
            f"Target for six million rows: under {TARGET_SECONDS} s and {TARGET_MEGABYTES} MB. A run of R rows has "
            f"R / {len(PROTOCOL.methods)} / {len(paper.NETWORKS)} images. The machine's load was "
            f"{os.getloadavg()[0]:.1f} when this began: where that is above its cores, others used it too, and seconds "
            "by the clock are more than alone. Seconds of processors hardly depend on that."
        )
        lines = [
            "# Tables and reports of large runs",
            "",
            machine("polars", "pyarrow"),
            "",
            target,
            "",
            *measure(folder, list(options.images)),
            "",
        ]
        report("table_scale.md", "\n".join(lines))


if __name__ == "__main__":
    main()
