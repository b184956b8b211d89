"""Evaluations that are killed lose nothing, double nothing, and come to the same table bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import polars as pl
import psutil
import pytest

from helpers import forked_evaluations
from helpers.small_evaluations import assert_near, folder_of, run_evaluation, tiny_network
from shapleycam.errors import OptionError
from shapleycam.experiments import Store
from shapleycam.files import UNFINISHED

pytestmark = [
    pytest.mark.filterwarnings("ignore::shapleycam.errors.ShapleyCamWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks"),
]
IMAGES = 26
CHUNKS = 2 * 3
"""Of two models; the last of each is smaller."""


class Runs:
    """Start runs by `forked_evaluations`, one at a time, and remember all their processes."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self.process, self.data = process, data
        self.child = 0
        self.started: list[int] = []
        self.processes: list[psutil.Process] = []
        self.until("ready")

    def start(self, out: Path, moment: str = "never", data: Path | None = None) -> None:
        self.process.stdin.write(f"go {data or self.data} {out} {moment}\n")
        self.process.stdin.flush()
        self.child = self.until("started")
        self.started.append(self.child)

    def until(self, key: str) -> Any:
        """Return the value of the next event with this key."""
        while True:
            line = self.process.stdout.readline()
            assert line, "the process has died"
            event = json.loads(line)
            if key in event:
                return event[key]
            assert "ended" not in event, line

    def until_ended(self) -> int:
        """How the run ended, whatever events come before."""
        while True:
            event = json.loads(self.process.stdout.readline())
            if "ended" in event:
                return event["ended"]

    def measured(self, times: int) -> None:
        for _ in range(times):
            self.until("measured")
        self.processes = [psutil.Process(self.child), *psutil.Process(self.child).children(recursive=True)]

    def finish(self, out: Path) -> Store:
        self.start(out)
        assert self.until_ended() == 0
        return Store(out)

    def all_have_ended(self) -> bool:
        """After a while: torch's workers look for their parent every 5 seconds."""
        deadline = monotonic() + 12
        while any(map(is_running, self.processes)) and monotonic() < deadline:
            sleep(0.1)
        return not any(map(is_running, self.processes))


def is_running(process: psutil.Process) -> bool:
    """Return whether a process is running (a zombie that its parent has not reaped is not)."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    data = folder_of(tmp_path_factory.mktemp("crashes"), IMAGES)
    paths = [str(Path(forked_evaluations.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, forked_evaluations.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    with process:
        started = Runs(process, data)
        yield started
        process.stdin.close()
    for group in started.started:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory) -> pl.DataFrame:
    """The table of a run that nothing disturbed."""
    return runs.finish(tmp_path_factory.mktemp("whole")).rows()


def chunk_files(out: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in out.rglob("*.parquet")}


def check_kept(out: Path, before: dict[Path, bytes], whole: pl.DataFrame) -> dict[Path, bytes]:
    """Check that earlier chunks are unchanged and that all rows are rows of the whole table, without duplicates."""
    present = chunk_files(out)
    assert before.items() <= present.items()
    if (out / "manifest.json").exists():
        rows = Store(out).rows()
        assert rows.is_duplicated().sum() == 0
        assert rows.equals(whole.join(rows.select("model", "index").unique(), on=["model", "index"], how="semi"))
    return present


def test_undisturbed_table_is_that_of_one_process(runs, whole, tmp_path):
    """Of one with other batches, and with as many threads as it likes."""
    assert len(whole) == 2 * IMAGES * 3
    models = [tiny_network(), tiny_network(1, "other")]
    rows = run_evaluation(runs.data, tmp_path, models, forked_evaluations.PROTOCOL).rows()
    assert_near(rows, whole, 1e-5)


def test_killed_at_three_random_moments(runs, whole, tmp_path):
    moments = random.Random(0)  # noqa: S311
    written: dict[Path, bytes] = {}
    for _ in range(3):
        runs.start(tmp_path)
        runs.measured(moments.randint(1, 3))
        sleep(moments.uniform(0, 0.1))  # the random moment itself
        os.kill(runs.child, signal.SIGKILL)
        assert runs.until_ended() == -signal.SIGKILL
        written = check_kept(tmp_path, written, whole)
        assert len(written) < CHUNKS
    store = runs.finish(tmp_path)
    assert store.rows().equals(whole)
    assert len(store.manifest["sessions"]) == 4
    check_kept(tmp_path, written, whole)
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def test_decoding_processes_end_when_their_parent_was_killed(runs, tmp_path):
    runs.start(tmp_path)
    runs.measured(2)
    os.kill(runs.child, signal.SIGKILL)
    runs.until_ended()
    assert runs.all_have_ended()


@pytest.mark.parametrize(
    "moment",
    [
        "before-sync:1",  # the manifest
        *("half-written:1", "before-rename:4", "after-rename:4"),  # the first chunk
        *("half-written:4", "measuring:12"),
    ],
)
def test_killed_at_this_moment(runs, whole, tmp_path, moment):
    runs.start(tmp_path, moment)
    assert runs.until_ended() == -signal.SIGKILL
    written = check_kept(tmp_path, {}, whole)
    assert runs.finish(tmp_path).rows().equals(whole)
    check_kept(tmp_path, written, whole)
    assert not list(tmp_path.rglob(f"{UNFINISHED}*"))


def test_killed_within_an_image(runs, tmp_path):
    """All runs of the model but those of the last batch are found again; a photograph takes 12 batches, or little more.

    Killed at the 20th, and then at the 10th that it did not find, it has measured two of the three photographs.
    """
    data, whole, out = folder_of(tmp_path / "data", 3), tmp_path / "whole", tmp_path / "out"
    runs.start(whole, "sampling-never", data)
    assert runs.until_ended() == 0
    for moment, images in (("sampling-run:20", 1), ("sampling-run:10", 2)):
        runs.start(out, moment, data)
        for image in range(1, images + 1):
            assert runs.until("measured") == image
        assert runs.until_ended() == -signal.SIGKILL
        assert [path.name for path in (out / "started" / "tiny").iterdir()] == ["0000000-0000002"]
        assert not chunk_files(out)
    runs.start(out, "sampling-never", data)
    assert runs.until_ended() == 0
    assert Store(out).rows().equals(Store(whole).rows())
    assert not (out / "started").exists()


def test_interrupt_of_all_its_processes(runs, whole, tmp_path):
    """Ctrl-C reaches the decoding processes too."""
    runs.start(tmp_path)
    runs.measured(6)
    os.killpg(runs.child, signal.SIGINT)
    assert runs.until_ended() == 130
    written = check_kept(tmp_path, {}, whole)
    assert 0 < len(written) < CHUNKS
    assert runs.all_have_ended()
    assert runs.finish(tmp_path).rows().equals(whole)


def test_two_interrupts_of_the_command_at_once(runs, whole, tmp_path):
    """As by Ctrl-C, Ctrl-C in a terminal: one line, no traceback of any process, none left, and the run goes on."""
    out = tmp_path / "out"
    runs.start(out, "command")
    while not chunk_files(out):
        sleep(0.01)
    runs.processes = [psutil.Process(runs.child), *psutil.Process(runs.child).children(recursive=True)]
    for _ in range(2):
        os.killpg(runs.child, signal.SIGINT)
        sleep(0.05)
    assert runs.until_ended() == 130
    (line,) = (tmp_path / "out.err").read_text(encoding="utf-8").splitlines()
    assert line.startswith("note: stopped; ")
    assert line.endswith("and the same command goes on from there")
    assert runs.all_have_ended()
    before = chunk_files(out)
    runs.start(out, "command")
    assert runs.until_ended() == 0
    assert before.items() <= chunk_files(out).items()
    assert Store(out).rows().drop("model").equals(whole.filter(model="tiny").drop("model"))


def test_two_at_once(runs, whole, tmp_path):
    runs.start(tmp_path)
    runs.measured(5)
    os.kill(runs.child, signal.SIGSTOP)  # holds the folder, and does nothing meanwhile
    try:
        before = chunk_files(tmp_path)
        for _ in range(2):
            with pytest.raises(OptionError) as caught:
                run_evaluation(
                    runs.data, tmp_path, [tiny_network(), tiny_network(1, "other")], forked_evaluations.PROTOCOL
                )
            assert str(caught.value) == (
                f"{tmp_path}: another run writes to this folder; wait for it, or choose another out="
            )
        assert chunk_files(tmp_path) == before
        assert Store(tmp_path).rows().equals(whole.head(len(Store(tmp_path).rows())))
    finally:
        os.kill(runs.child, signal.SIGKILL)
    assert runs.until_ended() == -signal.SIGKILL
    assert runs.finish(tmp_path).rows().equals(whole)  # at once
