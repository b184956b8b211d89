"""A process that starts evaluations in processes of their own, which tests may kill.

Each line on standard input is a command: `go DATA OUT MOMENT`. A child is forked, which is as good as a fresh process
and needs no minute of imports. What happens is said in lines on standard output: the child's number, the images
measured so far, and how it ended. MOMENT is where it kills itself: "never", or NAME:TIME for the TIMEth call of a
function in `MOMENTS`; "command" has the command line run, which says nothing here. "sampling-MOMENT" is of a run that
samples values at the input, one photograph at a time, and keeps its runs of the model after each batch of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import torch

from helpers.small_evaluations import QUICK, RecordingListener, tiny_network
from shapleycam import Network, cli
from shapleycam.experiments import RunSettings, chunk, evaluate, manifest, started_chunk
from shapleycam.experiments.storage import FolderStorage
from shapleycam.game.head_runner import GeneralRunner

SAMPLES = "sampling-"
PROTOCOL = replace(QUICK, metrics=("average_drop",))
"""What is measured matters little here, and takes most of the time."""
BATCH = 4


def print_event(**event: Any) -> None:
    os.write(1, (json.dumps(event) + "\n").encode())


class ReportingListener(RecordingListener):
    def batch_finished(self, images: int, rows: Any) -> None:
        super().batch_finished(images, rows)
        print_event(measured=sum(self.steps))


def die_at(owner: Any, name: str, time: int, *, after: bool) -> None:
    """Before or after a function's call of that number, as kill -9 would have it."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = []

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) < time:
            return function(*args, **kwargs)
        if after:
            function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    setattr(owner, name, dying)


def die_half_written(time: int) -> None:
    write, calls = FolderStorage.write, []

    def dying(storage: FolderStorage, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        def half(file: IO[bytes]) -> None:
            fill(file)
            file.flush()
            os.truncate(file.fileno(), file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

        calls.extend([name] * name.endswith(".parquet"))
        write(storage, name, half if len(calls) == time else fill)

    FolderStorage.write = dying


SAMPLING = replace(
    QUICK,
    layers=("input",),
    methods=("sampledshapley",),
    metrics=("average_drop",),
    players=(3, 3),
    runs=400,
    tolerance=1e-6,
)
MOMENTS: dict[str, Callable[[int], None]] = {
    "before-sync": lambda time: die_at(os, "fsync", time, after=False),
    "after-sync": lambda time: die_at(os, "fsync", time, after=True),
    "before-rename": lambda time: die_at(Path, "replace", time, after=False),
    "after-rename": lambda time: die_at(Path, "replace", time, after=True),
    "half-written": die_half_written,
    "run": lambda time: die_at(GeneralRunner, "outputs", time, after=True),
    "measuring": lambda time: die_at(chunk._RowCollector, "evaluate", time, after=False),
}


def network() -> Network:
    """A tiny network, as the command line names it."""
    return tiny_network()


def run_command(data: str, out: str) -> None:
    """Run the command line; what it prints to stderr is added to a file beside the results."""
    os.dup2(os.open(f"{out}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    rows = [word for name in PROTOCOL.methods for word in ("--method", name)]
    rows += [word for name in PROTOCOL.metrics for word in ("--metric", name)]
    options = ["--model", f"{__file__}:network", *rows, "--batch-size", f"{BATCH}", "--workers", "2", "--out", out]
    sys.argv = ["shapleycam", "evaluate", data, *options, "--quiet"]
    cli.main()


def run(data: str, out: str, moment: str) -> int:
    if moment == "command":
        run_command(data, out)
    samples = moment.startswith(SAMPLES)
    name, _, time = moment.removeprefix(SAMPLES).partition(":")
    if name in MOMENTS:
        MOMENTS[name](int(time))
    if samples:
        started_chunk.SECONDS = 0
    models, protocol = [tiny_network(), tiny_network(1, "other")], SAMPLING if samples else PROTOCOL
    settings = RunSettings("cpu", 1 if samples else BATCH, 2)
    try:
        evaluate(models, data, out, protocol, settings=settings, listener=ReportingListener())
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # whatever it is, the test is told
        print_event(error=str(error))
        return 1
    return 0


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    manifest._LEAST_CHUNK = 3 * BATCH  # a third of what it is: many chunks of few images
    for name in ("timm", "pandas", "pyarrow.parquet"):  # what an evaluation imports when it first needs it
        import_module(name)
    print_event(ready=True)
    for line in sys.stdin:
        _, data, out, moment = line.split()
        child = os.fork()
        if child == 0:
            os.setsid()
            sys.exit(run(data, out, moment))  # as Python ends, its processes with it
        print_event(started=child)
        _, status = os.waitpid(child, 0)
        print_event(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
