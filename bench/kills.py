"""A run that is killed at random moments, again and again: does the table stay the same, bit for bit?

python bench/kills.py [--kills N] [--images N]     prints, and writes bench/results/kills.md

Runs `shapleycam evaluate` over photographs of the data folder, kills it and its workers with SIGKILL after a random
time, starts the same command again until it has been killed so often (in a new folder where it had ended before), lets
it finish, and compares every row with those of runs that nobody killed: with 0 and 2 workers (equal bit for bit), and
with batches of 1 and 7 (nearly equal).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from measure import machine, report
from shapleycam.experiments import Store
from shapleycam.experiments.rows import metrics_in

PHOTOS = Path(__file__).parents[2] / "shared/data/imagenet-sample"
METHODS = ("gradcam", "randomcam", "shapleycam", "pathcam-h")


def command(out: Path, images: int, batch: int, workers: int) -> list[str]:
    """The same evaluation into a folder."""
    methods = [word for name in METHODS for word in ("--method", name)]
    sizes = ["--limit", images, "--batch-size", batch, "--workers", workers]
    program = [sys.executable, "-c", "from shapleycam.cli import main; main()", "evaluate", PHOTOS]
    return list(map(str, [*program, "--layer", "bn2", *methods, *sizes, "--quiet", "--out", out]))


def finished(out: Path, images: int, batch: int, workers: int) -> tuple[pl.DataFrame, float]:
    """The rows of a run that nobody kills, and how long it took."""
    start = time.perf_counter()
    subprocess.run(command(out, images, batch, workers), check=True, stdout=subprocess.DEVNULL)
    return Store(out).rows(), time.perf_counter() - start


def killed(place: Path, images: int, batch: int, kills: int, longest: float) -> tuple[list[pl.DataFrame], list[int]]:
    """The rows of runs that are killed so often together, and how many chunks there were after each kill.

    A run that is whole before it is killed is one of them, and the next one begins in a new folder.
    """
    folders, chunk_counts = [place / "0"], []
    while len(chunk_counts) < kills:
        if was_killed(command(folders[-1], images, batch, len(chunk_counts) % 2 * 2), random.uniform(0.5, longest)):  # noqa: S311
            chunk_counts.append(len(list(folders[-1].rglob("*.parquet"))))
        else:
            folders.append(place / str(len(folders)))
    return [finished(folder, images, batch, 0)[0] for folder in folders], chunk_counts


def was_killed(words: list[str], wait: float) -> bool:
    """Run a command and kill it and its workers after so many seconds; False where it had ended by itself.

    Raises:
        CalledProcessError: it ended by itself with an error.
    """
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(timeout=wait)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    if process.wait() == -signal.SIGKILL:
        return True
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return False


def largest_difference(first_run: pl.DataFrame, second_run: pl.DataFrame) -> float:
    """Between two runs of the same rows, over all metrics but the increase in confidence, which may flip."""
    names = [name for name in metrics_in(first_run.columns) if name != "increase_in_confidence"]
    keys = ["index", "method"]
    first, second = (rows.sort(keys).select(names).to_numpy() for rows in (first_run, second_run))
    return float(abs(first - second).max())


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole, seconds = finished(root / "whole", options.images, 32, 0)
        lines = [
            "# Runs that are killed",
            "",
            machine("polars"),
            "",
            f"{options.images} photographs, {len(METHODS)} methods, six metrics: {len(whole)} rows, {seconds:.0f} s.",
            "",
        ]
        runs, chunk_counts = killed(root / "killed", options.images, 32, options.kills, seconds / 2)
        for rows in runs:
            assert_frame_equal(whole, rows, check_exact=True)
        lines += [f"- Killed {len(chunk_counts)} times (folders: {len(runs)}): every row equal, bit for bit."]
        lines += [f"  Chunks that were there after each kill: {chunk_counts}."]
        assert_frame_equal(whole, finished(root / "two", options.images, 32, 2)[0], check_exact=True)
        lines.append("- With 2 workers instead of 0: every row equal, bit for bit.")
        for batch in (1, 7):
            batched, _ = finished(root / f"by {batch}", options.images, batch, 0)
            lines.append(
                f"- In batches of {batch} instead of 32: largest difference {largest_difference(whole, batched):.1e}."
            )
    report("kills.md", "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
