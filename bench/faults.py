"""Runs that are disturbed in every way we could think of: what is lost, and what is said?

python bench/faults.py [--times N] [--images N] [--only TEXT]     prints, and writes bench/results/faults.md

With `--only`, faults with this text in their names are tried and printed, and nothing is written.

Each fault is tried N times, at random moments or in random places, on `shapleycam evaluate` with two tiny networks and
two decoding processes. Nothing may be lost: chunks that were written before the fault stay as they were (but for those
that the fault itself removes), a refusal is one line, no process is left, the run goes on afterwards, and its rows are
those of a run that nothing disturbed, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

import fault_runs
from fault_runs import MODELS, FreshRun, Outcome, Run, write_photographs
from measure import machine, report
from shapleycam.errors import ShapleyCamError, ShapleyCamWarning
from shapleycam.experiments import Protocol, RunSettings, Store, evaluate

Fault = Callable[[Path], object]
_REFUSED = 2
_ENDED = 0


@dataclass
class Tally:
    """What came of a fault: how often it was tried, and what was lost, left or said."""

    tried: int = 0
    lost: int = 0
    tracebacks: int = 0
    orphans: int = 0
    unexpected: int = 0
    said: Counter[str] = field(default_factory=Counter)

    def row(self, name: str) -> str:
        """A row of the table."""
        said = "; ".join(f"{text} ({count})" for text, count in self.said.most_common(2))
        return f"| {name} | {self.tried} | {self.lost} | {self.tracebacks} | {self.orphans} | {said or 'nothing'} |"


class Bench:
    """The photographs, the undisturbed run, and the tally of each fault."""

    def __init__(self, root: Path, images: int, times: int, only: str = "") -> None:
        self.root, self.images, self.times, self.only = root, images, times, only
        self.photographs = write_photographs(root / "photographs", images)
        start = time.perf_counter()
        outcome = Run(self.photographs, root / "whole", workers=2).finish()
        self.seconds = time.perf_counter() - start
        if outcome.code != _ENDED:
            raise RuntimeError(outcome.stderr)
        self.whole = Store(root / "whole").rows()
        self.n_chunks = len(chunk_files(root / "whole"))
        self.tallies: dict[str, Tally] = {}

    def finish(self, out: Path) -> pl.DataFrame:
        """Let a run go on, in this process, and return its rows."""
        names = [f"{fault_runs.__file__}:{name}" for name in MODELS]
        protocol = Protocol(methods=("gradcam", "shapleycam"))
        settings = RunSettings("cpu", batch_size=8, workers=0)
        return evaluate(names, str(self.photographs), str(out), protocol, settings=settings).rows()

    def disturb(  # all but three have defaults
        self,
        name: str,
        fault: Callable[[Run, Path], object],
        expected: tuple[int, ...],
        *,
        prepare: Callable[[], object] | None = None,
        out: Callable[[], Path] | None = None,
        removes: bool = False,
        repair: Fault = bool,
        fresh_between: tuple[float, float] | None = None,
    ) -> None:
        """Disturb runs at random moments.

        `removes` says that the fault takes chunks away, and `repair` does what a user does before going on. With
        `fresh_between` processes are fresh ones, and the fault comes between these seconds.
        """
        if self.only not in name:
            return
        tally = self.tallies.setdefault(name, Tally())
        for number in range(self.times):
            folder = out() if out else self.root / f"run-{len(self.tallies)}-{number}"
            run = (FreshRun if fresh_between else Run)(self.photographs, folder, 2, prepare)
            self._wait_for_a_moment(run, folder, fresh_between)
            before = {} if removes else chunk_files(folder)
            fault(run, folder)
            self._count(tally, run.finish(), expected, folder)
            repair(folder)
            tally.lost += sum(chunk_files(folder).get(path) != content for path, content in before.items())
            tally.lost += not self.finish(folder).equals(self.whole)
            shutil.rmtree(folder, ignore_errors=True)
        print(tally.row(name), flush=True)

    def _wait_for_a_moment(self, run: Run, out: Path, fresh_between: tuple[float, float] | None) -> None:
        """Wait until a random number of chunks is written, and a random time; a fresh process only a time."""
        while not fresh_between and run.is_running() and not run.answers_signals():
            time.sleep(0.005)
        chunks, share = random.randrange(self.n_chunks), self.seconds / self.n_chunks / 2  # noqa: S311
        while not fresh_between and run.is_running() and len(list(out.glob("parts/*/*.parquet"))) < chunks:
            time.sleep(0.005)
        time.sleep(random.uniform(*(fresh_between or (0, share))))  # noqa: S311

    def damage(self, name: str, fault: Fault, times: int, *, may_be_harmless: bool = False) -> None:
        """Damage copies of the finished run, read them, and go on with them."""
        if self.only not in name:
            return
        tally = self.tallies.setdefault(name, Tally())
        for _ in range(times):
            folder = Path(shutil.copytree(self.root / "whole", self.root / "copy"))
            fault(folder)
            for read in (lambda folder=folder: Store(folder).rows(), partial(self.finish, folder)):
                self._read(tally, read, may_be_harmless=may_be_harmless)
            tally.tried += 1
            shutil.rmtree(folder)
        print(tally.row(name), flush=True)

    def _read(self, tally: Tally, read: Callable[[], pl.DataFrame], *, may_be_harmless: bool) -> None:
        """Read a damaged run: it must be refused, or, where that may be, have the right rows."""
        try:
            rows = read()
        except ShapleyCamError as error:
            tally.tracebacks += "\n" in str(error)
            tally.said[self._shortened(str(error))] += 1
        except Exception as error:  # noqa: BLE001  # what a user would see as a traceback
            tally.tracebacks += 1
            tally.said[self._shortened(f"{type(error).__name__}: {error}")] += 1
        else:
            tally.lost += not (may_be_harmless and in_order(rows).equals(in_order(self.whole)))
            tally.said["read, with the right rows"] += 1

    def _count(self, tally: Tally, outcome: Outcome, expected: tuple[int, ...], out: Path) -> None:
        tally.tried += 1
        tally.tracebacks += outcome.tracebacks
        tally.orphans += outcome.orphans
        tally.unexpected += outcome.code not in expected
        if outcome.code not in expected or outcome.tracebacks or outcome.orphans:
            print(f"unexpected: {outcome}", file=sys.stderr, flush=True)
        said = self._shortened(outcome.said, out) or ("ended before" if outcome.code == _ENDED else "")
        tally.said[said or f"exit code {outcome.code}"] += 1

    def _shortened(self, text: str, out: Path | None = None) -> str:
        """A message without what differs from try to try."""
        text = text.replace(str(out or self.root / "copy"), "OUT").replace(fault_runs.__file__, "FILE")
        text = re.sub(r"FILE:\w+|FILE\S*?py", "MODEL", re.sub(r"parts/[^ /:]+/[\d-]+\.parquet", "CHUNK", text))
        text = re.sub(r"parts/[^ /:]+", "parts/MODEL", text)
        text = re.sub(r"changed since.*|not a manifest of this version \(.*?\)", lambda m: m[0][:40], text)
        return re.sub(r"\b\d+\b", "N", text).replace("|", "/")[:170]


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by model, image and method: the order of the models is no number."""
    return rows.sort("model", "index", "method")


def chunk_files(out: Path) -> dict[Path, bytes]:
    """The chunks in a folder."""
    return {path.relative_to(out): path.read_bytes() for path in out.glob("parts/*/*.parquet")}


def send(number: int, times: int, *, to_group: bool) -> Callable[[Run, Path], None]:
    """A fault: a signal, so many times within a moment."""

    def fault(run: Run, _: Path) -> None:
        for _ in range(times):
            run.send(number, to_group=to_group)
            time.sleep(random.uniform(0, 0.2) if times > 1 else 0)  # noqa: S311

    return fault


def swap_chunks(out: Path) -> None:
    """Exchange two chunks, of one model or of two."""
    first, second = random.sample(sorted(out.glob("parts/*/*.parquet")), 2)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def copy_from(other: Path, out: Path) -> None:
    """Copy a chunk of another run over the one of the same name."""
    chunk = random.choice(sorted(other.glob("parts/*/*.parquet")))  # noqa: S311
    shutil.copy(chunk, out / chunk.relative_to(other))


def change_chunk(change: Callable[[bytes], bytes], out: Path) -> None:
    """Change the content of a chunk."""
    chunk = random.choice(sorted(out.glob("parts/*/*.parquet")))  # noqa: S311
    chunk.write_bytes(change(chunk.read_bytes()))


def rename_chunk(out: Path) -> None:
    """Give a chunk another name."""
    chunk = random.choice(sorted(out.glob("parts/*/*.parquet")))  # noqa: S311
    chunk.rename(chunk.with_name(f"copy of {chunk.name}"))


def flip_bit(content: bytes) -> bytes:
    """Change a bit."""
    changed = bytearray(content)
    changed[random.randrange(len(content))] ^= 1 << random.randrange(8)  # noqa: S311
    return bytes(changed)


def cut_off(content: bytes) -> bytes:
    """Cut off the end."""
    return content[: random.randrange(len(content))]  # noqa: S311


def edit_manifest(out: Path) -> None:
    """Delete a value of the manifest, or put another one into its place."""
    file = out / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    record, key = random.choice(places(manifest))  # noqa: S311
    if random.random() < 0.3:  # noqa: S311
        del record[key]
    else:
        record[key] = random.choice([None, True, -1, 0, 16, 1.5, "", "first", [], ["gradcam"], {}, {"a": 1}])  # noqa: S311
    file.write_text(json.dumps(manifest), encoding="utf-8")


def places(value: object) -> list[tuple[dict | list, str | int]]:
    """All places in a JSON value that hold another one."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


class SmallDisk:
    """A disk in memory, of a size and mode that can be changed while something writes to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("size=4m", "-t", "tmpfs", "tmpfs")

    def out(self) -> Path:
        """A folder on the disk, which is free and writable."""
        self.repair()
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        return self.folder / "run"

    def fill(self, *_: object) -> None:
        """Let the disk be full: all of its room is taken by another file."""
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def make_read_only(self, *_: object) -> None:
        """Let the disk be read only from now on."""
        self._mount("remount,ro")

    def repair(self, *_: object) -> None:
        """Make the disk writable, and make room."""
        self._mount("remount,rw")
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount the disk."""
        subprocess.run([shutil.which("umount") or "umount", "-l", self.folder], check=True)

    def _mount(self, options: str, *kind: str) -> None:
        command = [shutil.which("mount") or "mount", *kind, "-o", options, self.folder]
        subprocess.run(command, check=True)


def signals(bench: Bench) -> None:
    """Processes that are killed, stopped, or lose their terminal."""
    interrupted, terminated, hung_up = (128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    killed = (-signal.SIGKILL, _ENDED)
    bench.disturb("kill -9 of the run", send(signal.SIGKILL, 1, to_group=False), killed)
    bench.disturb("kill -9 of the run and its workers", send(signal.SIGKILL, 1, to_group=True), killed)
    bench.disturb("Ctrl-C", send(signal.SIGINT, 1, to_group=True), (interrupted, _ENDED))
    bench.disturb("Ctrl-C twice", send(signal.SIGINT, 2, to_group=True), (interrupted, _ENDED))
    bench.disturb("Ctrl-C five times", send(signal.SIGINT, 5, to_group=True), (interrupted, _ENDED))
    start = (0.15, 8.0)  # Python itself answers before, while it starts
    interrupt = send(signal.SIGINT, 1, to_group=True)
    bench.disturb("Ctrl-C during the imports", interrupt, (interrupted, _ENDED), fresh_between=start)
    bench.disturb("SIGTERM", send(signal.SIGTERM, 1, to_group=False), (terminated, _ENDED))
    bench.disturb("SIGTERM to all its processes", send(signal.SIGTERM, 1, to_group=True), (terminated, _ENDED))
    bench.disturb("the terminal is closed (SIGHUP to all)", send(signal.SIGHUP, 1, to_group=True), (hung_up, _ENDED))


def replace_by_file(_: Run, out: Path) -> None:
    """Remove a folder, and put a file into its place."""
    shutil.rmtree(out, ignore_errors=True)
    out.touch()


def move(_: Run, out: Path) -> None:
    """Move a folder away."""
    if out.exists():
        out.rename(out.with_name("moved"))


def move_back(out: Path) -> None:
    """Move it back."""
    if out.with_name("moved").exists():
        shutil.rmtree(out, ignore_errors=True)
        out.with_name("moved").rename(out)


def remove_manifest(_: Run, out: Path) -> None:
    """Remove the manifest."""
    (out / "manifest.json").unlink(missing_ok=True)


def clear(out: Path) -> None:
    """Remove what is left where there is no run any more, as the messages say."""
    if out.is_file():
        out.unlink()
    elif not (out / "manifest.json").exists():
        shutil.rmtree(out, ignore_errors=True)


def remove(name: str, _: Run, out: Path) -> None:
    """Remove a folder."""
    shutil.rmtree(out / name, ignore_errors=True)


def vanishing_results(bench: Bench) -> None:
    """Results that are removed or replaced while a run writes to them."""
    ends = (_REFUSED, _ENDED)
    bench.disturb("the folder is removed", partial(remove, "."), ends, removes=True, repair=clear)
    bench.disturb("the folder is moved away, and back", move, ends, repair=move_back)
    bench.disturb("a file in place of the folder", replace_by_file, ends, removes=True, repair=clear)
    bench.disturb("manifest.json is removed", remove_manifest, ends, removes=True, repair=clear)
    bench.disturb("the chunks are removed", partial(remove, "parts"), ends, removes=True)


def failing_disks(bench: Bench) -> None:
    """Disks that are full, read only or odd."""
    ends = (_REFUSED, _ENDED)
    disk = SmallDisk(bench.root / "disk")
    try:
        bench.disturb("the disk is full", disk.fill, ends, out=disk.out, repair=disk.repair)
        bench.disturb("the disk becomes read only", disk.make_read_only, ends, out=disk.out, repair=disk.repair)
    finally:
        disk.close()
    nothing = lambda *_: None  # noqa: E731
    bench.disturb("a quota (files of 5.5 KB at most)", nothing, (_REFUSED,), prepare=fault_runs.limit_files)
    bench.disturb("a disk without fsync (EINVAL)", nothing, (_ENDED,), prepare=fault_runs.refuse_fsync)
    bench.disturb("a disk that fails at fsync (EIO), at times", nothing, ends, prepare=fault_runs.fail_at_fsync)
    bench.disturb("a clock that goes back", nothing, (_ENDED,), prepare=fault_runs.turn_clock_back)


def damaged_results(bench: Bench) -> None:
    """Finished results that are exchanged, cut off, changed or edited."""
    other = bench.root / "other"
    names = [f"{fault_runs.__file__}:{name}" for name in MODELS]
    protocol = Protocol(methods=("gradcam", "shapleycam"), seed=1)
    evaluate(names, str(bench.photographs), str(other), protocol, settings=RunSettings("cpu", batch_size=8, workers=0))
    bench.damage("two chunks are exchanged", swap_chunks, 4 * bench.times)
    bench.damage("a chunk of another run", partial(copy_from, other), 4 * bench.times)
    bench.damage("a chunk is renamed", rename_chunk, 4 * bench.times)
    bench.damage("a chunk is cut off", partial(change_chunk, cut_off), 8 * bench.times)
    bench.damage("a bit of a chunk is changed", partial(change_chunk, flip_bit), 20 * bench.times)
    bench.damage("a value of the manifest is edited", edit_manifest, 20 * bench.times, may_be_harmless=True)


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", default="", help="only faults with this text in their names; nothing is written")
    options = parser.parse_args()
    random.seed(0)
    for number in (signal.SIGINT, signal.SIGHUP):  # which a job in the background may have been started to ignore
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    warnings.simplefilter("ignore", ShapleyCamWarning)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.images, options.times, options.only)
        for faults in (vanishing_results, failing_disks, damaged_results, signals):
            faults(bench)
            if not options.only:
                write_report(bench)


def write_report(bench: Bench) -> None:
    """Print what was found so far, and keep it."""
    tallies = bench.tallies
    text = f"""# Runs that are disturbed

{machine("polars", "pyarrow")}

`shapleycam evaluate` of {bench.images} photographs by two networks and two methods, with two decoding processes:
{len(bench.whole)} rows in {bench.n_chunks} chunks, {bench.seconds:.0f} s on this machine, which others used too. Faults
come at random moments of it; then the run goes on, and its rows are compared with those of the undisturbed one, bit for
bit. Results that are damaged after the run are read, and gone on with.

Lost are chunks that were written before the fault and are others afterwards (but for those that the fault itself
removes), runs that did not end with the same rows, and damaged results that were read as if they were not.

| fault | tried | lost | tracebacks | processes left | what was said (how often) |
|---|---|---|---|---|---|
{chr(10).join(tally.row(name) for name, tally in tallies.items())}

Exit codes other than expected: {sum(tally.unexpected for tally in tallies.values())}.
"""
    report("faults.md", text)


if __name__ == "__main__":
    main()
