"""What a Ray cluster costs and brings on this machine: the same evaluation by this process, and by Ray's actors.

python bench/scaling.py [--rounds N] [--images N] [--weak N]     prints, and writes bench/results/scaling.md

Each run is a process of its own, with Ray a cluster of its own that ends with it. Start-up is told from work by the
times that workers note: when they begin to decode a chunk, how long the model took to load there, how long they decoded
and measured. Those clocks are one, since all processes are on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from polars.testing import assert_frame_equal

from kills import PHOTOS, largest_difference
from measure import machine, report
from shapleycam.experiments import Protocol, Ray, RunSettings, Store, evaluate
from shapleycam.experiments.engines import Engine
from shapleycam.models import zoo

LAYER, BATCH, CHUNK = "bn2", 16, 32
NICE = 15
"""How far Ray's workers give way to others, by its own default; local runs do as much, so that both share alike."""
BUDGET, SAME = 10, 1e-6
"""Per cent of the run that Ray may take, and how far tables may be apart where they are not the same bit for bit."""

SPEEDS = """\
Images a second while there is work: start-up apart, the cluster's end within. Seconds of the whole run: from the first
import of Ray to the finished folder. Medians."""
START_UP = """\
Start-up: importing Ray; then from the moment when the engine is asked to the one when an actor begins to decode (the
cluster is started, then the actor, which imports); then the model's loading there. The worker notes the times."""
OVERHEAD = f"""\
Overhead, start-up apart: work with Ray less the work of a local run with as many threads, each round by itself; as a
share of the run with Ray (budget: under {BUDGET} % of it for 200 images). Not at work: the share of it in which the one
actor neither decoded nor measured, which does not depend on how fast the machine was meanwhile."""
WEAK = """\
Efficiency: the time of one worker through the time of so many with as much work each; medians of rounds. The last
column is the efficiency without Ray, of so many processes of the local engine at once: what this machine allows."""


@dataclass(frozen=True)
class Side:
    """Who measures: actors of so many CPUs, which are their threads; or with none, a process of so many threads."""

    actors: int
    cpus: int

    def __str__(self) -> str:
        if not self.actors:
            return f"local, {_counted(self.cpus, 'thread')}"
        return f"Ray, {_counted(self.actors, 'actor')} of {_counted(self.cpus, 'CPU')}"


SIDES = [Side(0, 1), Side(1, 1), Side(2, 1), Side(0, 2), Side(1, 2)]
PAIRS = [(Side(0, 1), Side(1, 1)), (Side(0, 2), Side(1, 2))]
"""With the same number of threads."""


@dataclass(frozen=True)
class Run:
    """What a run took, in seconds.

    `importing` ray, here; `joining`: starting the cluster and an actor, until it begins to decode its first chunk;
    `loading` the model there; `work`: from then on until the run has ended; `busy`: what all actors together decoded
    and measured; `ending`: the share of `work` that came after the last result. `whole` has all, and loading the model
    in this process besides. `workers`: how many actors had a chunk.
    """

    whole: float
    work: float
    ending: float
    importing: float = 0.0
    joining: float = 0.0
    loading: float = 0.0
    busy: float = 0.0
    workers: int = 1

    @property
    def start_up(self) -> float:
        """What Ray takes before the first chunk is measured."""
        return self.importing + self.joining + self.loading


@dataclass(frozen=True)
class Decoding:
    """The first step, timed."""

    step: Callable[[Any], Any]

    def __call__(self, item: Any) -> tuple[float, float, Any]:
        begun = time.monotonic()
        prepared = self.step(item)
        return begun, time.monotonic() - begun, prepared


@dataclass(frozen=True)
class Measuring:
    """The second step, timed, the model's loading apart; what it took follows the results."""

    step: Any

    def __call__(self, prepared: tuple[float, float, Any]) -> Iterator[Any]:
        begun, busy, content = prepared
        start = time.monotonic()
        self.step.load_model()
        start, loading = time.monotonic(), time.monotonic() - start
        for result in self.step(content):
            busy += time.monotonic() - start
            yield result
            start = time.monotonic()
        yield {"begun": begun, "loading": loading, "busy": busy + time.monotonic() - start, "by": os.getpid()}


@dataclass(frozen=True)
class Noted:
    """An engine whose workers' times are noted, one of each chunk."""

    engine: Engine
    chunks: list[dict[str, float]] = field(default_factory=list)

    def run(
        self, items: Sequence[Any], prepare: Callable[[Any], Any], perform: Callable[[Any], Iterable[Any]]
    ) -> Generator[Any, None, None]:
        with closing(self.engine.run(items, Decoding(prepare), Measuring(perform))) as results:
            for result in results:
                if isinstance(result, dict):
                    self.chunks.append(result)
                else:
                    yield result

    def provenance(self) -> dict[str, Any]:
        return self.engine.provenance()


@dataclass
class Clock:
    """A listener that notes when the engine is asked, and when it gave its last result."""

    started: float = 0.0
    last: float = 0.0

    def run_started(self, images: int, done: int) -> None: ...

    def model_started(self, name: str) -> None:  # noqa: ARG002
        self.started = time.monotonic()

    def batch_finished(self, images: int, rows: Sequence[Any]) -> None:  # noqa: ARG002
        self.last = time.monotonic()


def run(side: Side, images: int, out: Path) -> Run:
    """The evaluation, in this process."""
    if not side.actors:
        os.nice(NICE)
    torch.set_num_threads(side.cpus)
    warnings.simplefilter("ignore")
    start = time.monotonic()
    engine = Noted(Ray(actors=side.actors, cpus=side.cpus, gpus=0)) if side.actors else None
    importing, clock = time.monotonic() - start, Clock()
    settings = RunSettings("cpu", BATCH, 0, engine=engine)
    evaluate(zoo.DEFAULT, PHOTOS, out, Protocol(layers=(LAYER,)), limit=images, settings=settings, listener=clock)
    end = time.monotonic()
    whole, ending = end - start, end - clock.last
    if engine is None:
        return Run(whole, end - clock.started, ending)
    first = min(engine.chunks, key=lambda chunk: chunk["begun"])
    joining, loading = first["begun"] - clock.started, first["loading"]
    busy = sum(chunk["busy"] for chunk in engine.chunks)
    workers = len({chunk["by"] for chunk in engine.chunks})
    return Run(whole, end - first["begun"] - loading, ending, importing, joining, loading, busy, workers)


def ran(sides: Sequence[Side], images: int) -> tuple[list[Run], list[pl.DataFrame]]:
    """Runs at the same time, each in a process of its own, and their rows.

    Raises:
        CalledProcessError: one of them failed.
    """
    with tempfile.TemporaryDirectory() as place:
        outs = [Path(place, str(index)) for index in range(len(sides))]
        commands = [command(side, images, out) for side, out in zip(sides, outs, strict=True)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(words, env=environment(), **pipes) for words in commands]
        outputs = [process.communicate() for process in processes]
        for process, words, (_, errors) in zip(processes, commands, outputs, strict=True):
            if process.returncode:
                print(errors, file=sys.stderr)
                raise subprocess.CalledProcessError(process.returncode, words)
        runs = [Run(**json.loads(output.splitlines()[-1])) for output, _ in outputs]
        return runs, [Store(out).rows() for out in outs]


def command(side: Side, images: int, out: Path) -> list[str]:
    """This script, as a process that makes one run."""
    sizes = ["--images", images, "--actors", side.actors, "--cpus", side.cpus]
    return list(map(str, [sys.executable, __file__, "--run", out, *sizes]))


def environment() -> dict[str, str]:
    """As it is, and where nothing is said of it, nothing is sent to anybody and no token is left in the home folder."""
    return {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", **os.environ}


class Measured:
    """All runs of the sides, and a comparison of their tables."""

    def __init__(self, images: int, rounds: int) -> None:
        self.images, self.rounds = images, rounds
        self.runs: dict[Side, list[Run]] = {side: [] for side in SIDES}
        self.rows: dict[Side, list[pl.DataFrame]] = {side: [] for side in SIDES}
        for _ in range(rounds):
            for side in SIDES:
                (run_,), (rows,) = ran([side], images)
                print(f"{side}: {run_}", file=sys.stderr, flush=True)
                self.runs[side].append(run_)
                self.rows[side].append(rows)

    def speeds(self) -> str:
        """Images a second of each side."""
        lines = [
            f"### {self.images} photographs, ten methods, six metrics: {zoo.DEFAULT} at {LAYER}, batch {BATCH}",
            "",
            SPEEDS,
            "",
            "| | images a second | to local with 1 thread | whole run, s |",
            "|---|---|---|---|",
        ]
        floors = [run_.work for run_ in self.runs[SIDES[0]]]
        for side, runs in self.runs.items():
            work = _middle(run_.work for run_ in runs)
            ratio = _middle(floor / run_.work for floor, run_ in zip(floors, runs, strict=True))
            whole = _middle(run_.whole for run_ in runs)
            lines.append(f"| {side} | {self.images / work:.2f} | {ratio:.2f} | {whole:.1f} |")
        limit = -(-self.images // CHUNK)
        return "\n".join(
            [
                *lines,
                "",
                f"Work is given out in chunks of {CHUNK} photographs: {limit} here, so that two share unevenly.",
            ]
        )

    def overhead(self) -> str:
        """What Ray takes, start-up apart and start-up itself."""
        lines = [
            "### What Ray takes",
            "",
            START_UP,
            "",
            "| | import, s | cluster and actor, s | model, s | start-up together, s |",
            "|---|---|---|---|---|",
        ]
        for side in filter(lambda side: side.actors, SIDES):
            runs = self.runs[side]
            columns = [
                [getattr(run_, name) for run_ in runs] for name in ("importing", "joining", "loading", "start_up")
            ]
            lines.append(f"| {side} | " + " | ".join(f"{_middle(column):.1f}" for column in columns) + " |")
        lines += [
            "",
            OVERHEAD,
            "",
            "| | overhead, ms an image | share of the run, % | not at work, % | of which the cluster's end, s |",
            "|---|---|---|---|---|",
        ]
        for local, ray in PAIRS:
            both = list(zip(self.runs[local], self.runs[ray], strict=True))
            each = [1000 * (slow.work - fast.work) / self.images for fast, slow in both]
            share = [100 * (1 - fast.work / slow.work) for fast, slow in both]
            idle = _middle(100 * (1 - run_.busy / run_.work) for run_ in self.runs[ray])
            ending = _middle(run_.ending for run_ in self.runs[ray])
            lines.append(f"| {ray} | {_spread(each, 0)} | {_spread(share, 1)} | {idle:.1f} | {ending:.1f} |")
        return "\n".join(lines)

    def tables(self) -> tuple[str, bool]:
        """Return whether the tables are equal: bit for bit with equal threads, and nearly otherwise."""
        lines, good = ["### The tables", ""], True
        for cpus in sorted({side.cpus for side in SIDES}):
            alike = [side for side in SIDES if side.cpus == cpus]
            first, *others = (rows for side in alike for rows in self.rows[side])
            same = all(_equal(first, repeated) for repeated in others)
            good &= same
            runs = f"{'; '.join(map(str, alike))}: {_counted(1 + len(others), 'run')}, {len(first)} rows each"
            lines.append(f"- {runs}: {'equal, bit for bit' if same else 'NOT EQUAL'}.")
        # What is null or nan is undefined in both.
        one_thread, two_threads = (self.rows[Side(1, cpus)][0].fill_null(0).fill_nan(0) for cpus in (1, 2))
        difference = largest_difference(one_thread, two_threads)
        verdict = "within" if difference <= SAME else "ABOVE"
        lines.append(
            f"- Between 1 and 2 threads: largest difference {difference:.1e}, {verdict} the budget of {SAME:.0e}."
        )
        flips = one_thread["increase_in_confidence"].ne_missing(two_threads["increase_in_confidence"]).sum()
        lines.append(f"  Increase in confidence, which is 0 or 1, differs in {flips} of {len(one_thread)} rows.")
        return "\n".join(lines), good and difference <= SAME


def weak(images: int, rounds: int) -> str:
    """So many photographs for each worker, with ever more workers."""
    counts = [1]
    while 2 * counts[-1] <= max(2, os.cpu_count() or 1):
        counts.append(2 * counts[-1])
    ray: dict[int, list[Run]] = {count: [] for count in counts}
    bare: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            ray[count] += ran([Side(count, 1)], images * count)[0]
            bare[count].append(max(run_.work for run_ in ran([Side(0, 1)] * count, images)[0]))
            print(f"weak, {count}: {ray[count][-1]}; {bare[count][-1]:.1f}", file=sys.stderr, flush=True)
    lines = [
        f"### Weak scaling: {images} photographs for each worker of one thread",
        "",
        WEAK,
        "",
        "| workers | that had a chunk | photographs | Ray, s | efficiency | with start-up, s | efficiency | no Ray |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count in counts:
        workers = _middle(run_.workers for run_ in ray[count])
        work, alone = ([run_.work for run_ in runs] for runs in (ray[count], ray[1]))
        whole, alone_whole = ([run_.start_up + run_.work for run_ in runs] for runs in (ray[count], ray[1]))
        lines.append(
            f"| {count} | {workers:.0f} | {images * count} | {_middle(work):.1f} | {_ratio(alone, work):.2f} | "
            f"{_middle(whole):.1f} | {_ratio(alone_whole, whole):.2f} | {_ratio(bare[1], bare[count]):.2f} |"
        )
    return "\n".join(lines)


SHOWS = """### What two cores can show, and what they cannot

They show what Ray adds to the same work with the same threads, that tables do not depend on who did it, and that two
actors work at the same time. They cannot show how this grows: both cores share one memory and its bandwidth, so that
two workers slow each other down without any Ray, and what Ray itself does (its scheduler, its object store, the driver)
takes time from them too, where a cluster has other cores for it. There is no network here, so photographs, results and
weights never travel; and no GPU, beside which decoding, and not the model, may be what limits. An efficiency measured
here says nothing about that of a hundred GPUs. What can be carried over are the seconds of the start-up, paid once a
network, and the milliseconds an image that the driver takes, which bound how many images a second one driver can serve.
"""


def _equal(first: pl.DataFrame, second: pl.DataFrame) -> bool:
    try:
        assert_frame_equal(first, second, check_exact=True)
    except AssertionError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def _ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return _middle(numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True))


def _spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), _middle(values), max(values)))
    return f"{middle} ({low} to {high})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--weak", type=int, default=2 * CHUNK, help="photographs for each worker; whole chunks")
    parser.add_argument("--run", type=Path, metavar="OUT", help="one run, in this process")
    parser.add_argument("--actors", type=int, default=0)
    parser.add_argument("--cpus", type=int, default=1)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(asdict(run(Side(options.actors, options.cpus), options.images, options.run))))
        return
    ran([Side(1, 1)], BATCH)  # so that files are in memory
    measured = Measured(options.images, options.rounds)
    tables, good = measured.tables()
    heading = f"# From one process to a cluster\n\n{machine('ray', 'polars')}. {_counted(options.rounds, 'round')}."
    sections = [heading, measured.speeds(), measured.overhead(), tables, weak(options.weak, options.rounds), SHOWS]
    report("scaling.md", "\n\n".join(sections))
    if not good:
        raise SystemExit("the tables are not what they should be")


if __name__ == "__main__":
    main()
