"""Does ShapleyCAM beat GradCAM, and do true Shapley values beat both? The study of docs/results.md, from one command.

python bench/study.py PHOTOGRAPHS --out FOLDER [--plan] [--device cuda] [--photographs N] [--parts NAME ...]
    [--networks NAME ...] [--seconds N] [--batch-size N] [--resamples N]

Measures the parts of bench/study.toml (`--protocol` names another file), a run of `evaluate` for each part and network
in FOLDER, and writes FOLDER/study.md and FOLDER/study.csv.xz. Stopped, it goes on with the same command; after
`--seconds` it stops itself, and the tables say how many photographs they have. `--plan` prints passes and hours.
"""

from __future__ import annotations

import argparse
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapleycam.allocator import keep_large_blocks
from shapleycam.errors import ModelError
from shapleycam.experiments import Evaluation, Protocol, RunSettings, Store
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.manifest import chunk_size
from shapleycam.experiments.plan import plan_models
from shapleycam.experiments.progress import SilentListener
from shapleycam.experiments.run_opening import is_run
from shapleycam.experiments.synthetic import mosaics
from shapleycam.metrics import MetricOptions
from study_report import RESAMPLES, MeasuredPart, study_report, write_rows

PROTOCOL = Path(__file__).parent / "study.toml"


class TimeIsUp(Exception):  # noqa: N818  # not an error: the study stops as it was told to
    """The seconds that the study may take are over."""


@dataclass(frozen=True)
class Part:
    """A part of the study for one network: an evaluation, with the folder of its results."""

    name: str
    network: str
    protocol: Protocol
    images: int
    cells: int | None
    cell_side: int | None
    folder: Path

    def evaluation(self, data: Path, settings: RunSettings) -> Evaluation:
        """The evaluation of this part, of photographs or of mosaics with so many cells along each side."""
        if self.cells is None:
            images = open_dataset(data, self.images)
        else:
            size = None if self.cell_side is None else (self.cell_side, self.cell_side)
            images = mosaics(data, self.network, self.cells, count=self.images, cell_size=size,
                             seed=self.protocol.seed, device=settings.device)  # fmt: skip
        return Evaluation([self.network], images, self.protocol, self.folder, settings=settings)


class Clock(SilentListener):
    """A listener that ends a run when the time is up: where a chunk of images is written, so that none is lost."""

    def __init__(self, seconds: float, batch_size: int) -> None:
        self.started, self.seconds = time.monotonic(), seconds
        self.chunk, self.images = chunk_size(batch_size), 0

    @property
    def elapsed(self) -> float:
        """Seconds since the study was started."""
        return time.monotonic() - self.started

    def start_part(self) -> None:
        """Begin a part, unless the time is up."""
        self.images = 0
        self.check()

    def check(self) -> None:
        """Raise when the time is up."""
        if self.elapsed > self.seconds:
            raise TimeIsUp

    def batch_finished(self, images: int, rows: Sequence[Any]) -> None:  # noqa: ARG002  # a listener's
        """A batch is measured: if it is the first of a chunk, the chunk before it is written."""
        if self.images and self.images % self.chunk == 0:
            self.check()
        self.images += images


def parts_of(data: dict[str, Any], out: Path, arguments: argparse.Namespace) -> Iterator[Part]:
    """The parts of a protocol file that were asked for, network by network."""
    for part in data["parts"]:
        if arguments.parts and part["name"] not in arguments.parts:
            continue
        protocol = Protocol(
            layers=tuple(part["layers"]),
            utilities=tuple(part["utilities"]),
            methods=tuple(part["methods"]),
            metrics=tuple(part["metrics"]),
            tolerance=part["tolerance"],
            class_rule=part.get("class_rule", "prediction"),
            options=MetricOptions(shapley_tolerance=part["tolerance"], seed=data["seed"]),
            seed=data["seed"],
        )
        count = min(part["images"], arguments.photographs or part["images"])
        for network in part["networks"]:
            if not arguments.networks or network in arguments.networks:
                folder = out / "runs" / part["name"] / network.rsplit(":", 1)[-1]
                yield Part(part["name"], network, protocol, count, part.get("mosaic"), part.get("cell_side"), folder)


def print_plan(parts: Sequence[Part], data: Path, settings: RunSettings) -> None:
    """Passes and hours of each part from a trial on two images, and of all."""
    total = 0.0
    for part in parts:
        try:
            plans = list(plan_models(part.evaluation(data, settings)))
        except ModelError as error:
            print(f"{part.name}, {part.network}: left out: {error}", flush=True)
            continue
        for plan in plans:
            passes = plan.passes
            counts = "?" if passes is None else f"{passes.forward:,} forward, {passes.backward:,} backward passes"
            total += plan.trial.seconds
            print(f"{part.name}, {plan.trial.model}: {plan.trial.images} images to do, {counts}, "
                  f"{plan.trial.seconds / 3600:.3f} hours", flush=True)  # fmt: skip
    print(f"in all {total / 3600:.2f} hours at the pace of batches of two; larger batches are faster on a GPU")


def measure(parts: Sequence[Part], data: Path, settings: RunSettings, clock: Clock) -> None:
    """Measure what is not measured yet, until the time is up."""
    for part in parts:
        before = clock.elapsed
        try:
            clock.start_part()
            part.evaluation(data, settings).run(clock)
        except ModelError as error:  # its weights are not installed, say
            print(f"{part.name}, {part.network}: left out: {error}", flush=True)
            continue
        except TimeIsUp:
            print(f"stopped after {clock.elapsed:.0f} s, in {part.folder}; the same command goes on", flush=True)
            return
        print(f"{part.name}, {part.folder.name}: {clock.elapsed - before:.0f} s", flush=True)


def measured_parts(parts: Sequence[Part]) -> list[MeasuredPart]:
    """The rows of each part that has some, over its networks."""
    stores: dict[str, list[Store]] = {}
    for part in parts:
        if is_run(part.folder):
            store = Store(part.folder)
            if any(store.measured(name) for name in store.manifest["order"]):
                stores.setdefault(part.name, []).append(store)
    return [MeasuredPart(name, stores_of_part) for name, stores_of_part in stores.items()]


def main() -> None:
    """Plan, or measure and write what was measured."""
    keep_large_blocks()  # as the commands do
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--protocol", type=Path, default=PROTOCOL)
    parser.add_argument("--device")
    parser.add_argument("--photographs", type=int, help="or mosaics: at most so many, in each part")
    parser.add_argument("--parts", nargs="+")
    parser.add_argument("--networks", nargs="+")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="of the photographs, for leads")
    parser.add_argument("--plan", action="store_true")
    arguments = parser.parse_args()
    data = tomllib.loads(arguments.protocol.read_text(encoding="utf-8"))
    settings = RunSettings(arguments.device, arguments.batch_size or data["batch_size"])
    parts = list(parts_of(data, arguments.out, arguments))
    if not parts:
        parser.error(f"no part has these names; expected some of {', '.join(part['name'] for part in data['parts'])}")
    if arguments.plan:
        print_plan(parts, arguments.data, settings)
        return
    clock = Clock(arguments.seconds, settings.batch_size)
    measure(parts, arguments.data, settings, clock)
    measured = measured_parts(parts)
    if not measured:
        parser.exit(1, "nothing is measured yet; give more seconds\n")
    report = study_report(measured, arguments.resamples)
    (arguments.out / "study.md").write_text(report, encoding="utf-8")
    size = write_rows(measured, arguments.out / "study.csv.xz")
    print(f"{arguments.out / 'study.md'} and study.csv.xz ({size / 1e6:.2f} MB) after {clock.elapsed:.0f} s")


if __name__ == "__main__":
    main()
