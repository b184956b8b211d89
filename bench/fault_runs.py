"""Runs of `shapleycam evaluate` in processes of their own, which a benchmark disturbs, and what became of them.

A run is forked from a server that has all imports done and nothing else: as good as a fresh process, and ready at once.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch import nn

from shapleycam import Network, Preprocess, cli

MODELS = ("first", "second")
SIDE = 32
_SECONDS = 900
"""How long a run may take at most: a hundred times what it takes on a machine that does nothing else."""


def build(name: str) -> Network:
    """A tiny network; the evaluation names it `FILE:first`."""
    torch.manual_seed(MODELS.index(name))
    layers = nn.Conv2d(3, 8, 5, 2), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    half = (0.5, 0.5, 0.5)
    return Network(nn.Sequential(*layers).eval(), Preprocess(SIDE, (SIDE, SIDE), half, half))


def first() -> Network:
    """The first network of the runs."""
    return build("first")


def second() -> Network:
    """The second network of the runs."""
    return build("second")


def write_photographs(folder: Path, number: int) -> Path:
    """Write a folder of small photographs of noise and shapes."""
    folder.mkdir()
    for index in range(number):
        random = np.random.default_rng(index)
        shapes = random.integers(0, 255, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(shapes).resize((46, 40)).save(folder / f"{index:03d}.jpg")
    return folder


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exit code (negative: the signal), what it printed to stderr, and how many processes it left."""

    code: int
    stderr: str
    orphans: int

    @property
    def tracebacks(self) -> int:
        """How many tracebacks it printed."""
        return self.stderr.count("Traceback") + self.stderr.count("Exception ignored")

    @property
    def said(self) -> str:
        """The notes and errors that it printed; the progress is none."""
        return " ".join(line for line in self.stderr.splitlines() if line.startswith(("note:", "error:")))


class Run:
    """A run that goes on in its own process group, as one that a shell has started."""

    def __init__(self, photographs: Path, out: Path, workers: int, prepare: Callable[[], object] | None = None) -> None:
        self._stderr = _new_file()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        words = _arguments(photographs, out, workers)
        self._process = context.Process(target=_run_command, args=(words, str(self._stderr), prepare))
        self._process.start()

    def send(self, number: int, *, to_group: bool) -> None:
        """Send a signal to the run, or to all its processes as a terminal does; nothing where it has ended."""
        with suppress(ProcessLookupError):
            (os.killpg if to_group else os.kill)(self._process.pid, number)

    def is_running(self) -> bool:
        """Whether the run has not ended."""
        return self._process.exitcode is None

    def answers_signals(self) -> bool:
        """Whether the process has come to the command, which answers SIGTERM; before it is killed as any other."""
        with suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            return bool(caught >> (signal.SIGTERM - 1) & 1)
        return False

    def finish(self) -> Outcome:
        """Wait for the end of the run."""
        code = self._wait()
        text = self._stderr.read_text(errors="replace")
        self._stderr.unlink()
        return Outcome(code, text, _count_orphans(self._process.pid))

    def _wait(self) -> int:
        self._process.join(_SECONDS)
        if self._process.exitcode is None:
            self.send(signal.SIGKILL, to_group=True)
            self._process.join()
        return self._process.exitcode


class FreshRun(Run):
    """A run in a process that does its imports itself, for faults at its start."""

    def __init__(self, photographs: Path, out: Path, workers: int, _: object = None) -> None:
        self._stderr = _new_file()
        command = [sys.executable, "-m", *_arguments(photographs, out, workers)]
        with self._stderr.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, start_new_session=True)

    def _wait(self) -> int:
        return self._process.wait()


def _new_file() -> Path:
    handle, name = tempfile.mkstemp(prefix="stderr-")
    os.close(handle)
    return Path(name)


def _arguments(photographs: Path, out: Path, workers: int) -> list[str]:
    """The words of the command."""
    models = [word for name in MODELS for word in ("--model", f"{__file__}:{name}")]
    methods = ["--method", "gradcam", "--method", "shapleycam"]
    sizes = ["--batch-size", "8", "--workers", str(workers)]
    return ["shapleycam", "evaluate", str(photographs), *models, *methods, *sizes, "--out", str(out)]


def _run_command(words: list[str], stderr: str, prepare: Callable[[], object] | None) -> None:
    """Run the command in the forked process."""
    os.setsid()
    torch.set_num_threads(1)
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_APPEND), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = words
    if prepare is not None:
        prepare()
    cli.main()


def _count_orphans(group: int, patience: float = 15.0) -> int:
    """Count the processes of a group beside its leader that are there after a while; they are killed then."""
    deadline = time.monotonic() + patience
    while (left := _members(group)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        process.kill()
    return len(left)


def _members(group: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            if process.pid != group and alive and os.getpgid(process.pid) == group:
                members.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return members


def limit_files() -> None:
    """Let no file of this process grow beyond 5.5 KB, as a quota: the manifest is smaller, most chunks are larger."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_500, resource.RLIM_INFINITY))


def refuse_fsync() -> None:
    """Let fsync fail as on disks that have none."""

    def refuse(_: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    os.fsync = refuse


def fail_at_fsync() -> None:
    """Let every fifth fsync fail as on a disk that is broken."""
    fsync, calls = os.fsync, []

    def fail(handle: int) -> None:
        calls.append(handle)
        if len(calls) % 5 == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    os.fsync = fail


def turn_clock_back() -> None:
    """Let the clock of this process go back, a minute each time that it is asked."""
    now, calls = time.time(), []

    def earlier() -> float:
        calls.append(1)
        return now - 60 * len(calls)

    time.time = earlier
