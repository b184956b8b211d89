"""Damaged files for every reader: is each accepted, or refused in one line?

python bench/fuzz.py [--seconds S] [--inputs N] [--jobs N] [--reader NAME] [--seed N] [--faults FOLDER]
                                                      prints, and writes bench/results/fuzz.md where all readers run
python bench/fuzz.py --reader NAME --replay FILE      reads one file that was kept, in this process

Valid files, made by the package and by the libraries that write them, are damaged at random: bits, numbers, cuts,
copies, tokens of the format, pieces of other files, in the whole file or in a part of it (a chunk of a PNG, a member of
an archive) whose checksums are then right. Each is read in a process of its own kind, within limits of time and memory.
A fault is anything but a valid result or a `ShapleyCamError` of one line: an exception of another class, a library's
warning, something printed, a crash by a signal. The file is kept, and can be replayed.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz_readers import READERS, Reader
from fuzz_trial import FAULT, MEGABYTES, SECONDS, Trial, damaged_file, prepare, try_file
from measure import machine, report

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PRINTED = ", with a line of libtiff"
HANGS_AFTER = 120
"""Seconds after which a process is taken to hang, and ended."""
AT_ONCE = 5000
"""Files that one process reads."""


@dataclass
class Findings:
    """How often each outcome came, and the first file of each kind of fault."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def read_files(reader_name: str, seed: int, start: int, stop: int, results: Connection, folder: str) -> None:
    """Read the damaged files of these numbers, and send what came of each; what is printed goes to a file."""
    reader = reader_named(reader_name)
    printed = (Path(folder) / "printed").open("wb+")
    prepare(reader, Path(folder))
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    for index in range(start, stop):
        faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
        size = os.fstat(printed.fileno()).st_size
        name, content = damaged_file(reader, seed, index)
        trial = try_file(reader, Path(folder), name, content, index)
        if os.fstat(printed.fileno()).st_size > size and not trial.outcome.startswith(FAULT):
            trial = _printed(trial, os.pread(printed.fileno(), 200, size).decode(errors="replace"), content)
        results.send(trial)
    faulthandler.cancel_dump_traceback_later()


def _printed(trial: Trial, text: str, content: bytes) -> Trial:
    """What came of a file where something was printed: libtiff says on stderr what is wrong, which nobody can stop."""
    if trial.outcome.startswith(FAULT) or not content.startswith(TIFF):
        return Trial(trial.index, f"{FAULT}printed", text)
    return Trial(trial.index, trial.outcome.replace(")", f"{PRINTED})"))


def reader_named(name: str) -> Reader:
    """The reader of this name."""
    return next(reader for reader in READERS if reader.name == name)


def try_reader(reader: Reader, seed: int, inputs: int, seconds: float, faults: Path) -> Findings:
    """Try a reader with so many files, or for so long."""
    findings, start, index = Findings(), time.monotonic(), 0
    while index < inputs and time.monotonic() - start < seconds:
        index = _in_a_process(reader, seed, index, min(index + AT_ONCE, inputs), findings, faults)
    findings.seconds = time.monotonic() - start
    return findings


def _in_a_process(reader: Reader, seed: int, start: int, stop: int, findings: Findings, faults: Path) -> int:
    """Have a process read the files of these numbers; return the number of the next one to read."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = _CONTEXT.Process(target=read_files, args=(reader.name, seed, start, stop, sender, folder))
        process.start()
        sender.close()
        index = start
        while True:
            try:
                trial: Trial = receiver.recv()
            except EOFError:
                break
            _note(trial, reader, seed, findings, faults)
            index = trial.index + 1
        process.join()
        if process.exitcode:
            printed = (Path(folder) / "printed").read_text(errors="replace")[-2000:]
            _note(Trial(index, f"{FAULT}crash ({process.exitcode})", printed), reader, seed, findings, faults)
            index += 1
    return index


def _note(trial: Trial, reader: Reader, seed: int, findings: Findings, faults: Path) -> None:
    findings.outcomes[trial.outcome] += 1
    if not trial.outcome.startswith(FAULT):
        return
    lines = trial.detail.strip().splitlines()
    frames = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    kind = f"{trial.outcome.removeprefix(FAULT)}: {lines[-1][:200] if lines else ''} {' < '.join(frames[:-3:-1])}"
    where = trial.outcome + (frames[-1] if frames else "")
    if where in findings.faults:
        return
    name, content = damaged_file(reader, seed, trial.index)
    faults.mkdir(parents=True, exist_ok=True)
    path = faults / f"{reader.name}-{hashlib.sha256(content).hexdigest()[:8]}-{name.replace('/', '-')}"
    path.write_bytes(content)
    findings.faults[where] = f"{kind} ({path})"
    print(f"{reader.name}: {findings.faults[where]}", file=sys.stderr, flush=True)


def replay(reader: Reader, file: Path) -> None:
    """Read one file that was kept, with the traceback of what it raises."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(reader, Path(folder))
        name = next(seed.name for seed in reader.valid() if file.name.endswith(seed.name.replace("/", "-")))
        trial = try_file(reader, Path(folder), name, file.read_bytes())
        print(trial.outcome, trial.detail, sep="\n")


def text_of(results: dict[str, Findings]) -> str:
    """The table of results, in Markdown."""
    lines = [
        "# Damaged files",
        "",
        machine("pillow", "safetensors", "polars"),
        "",
        f"Limits of one file: {SECONDS} s of processor time, {MEGABYTES} MB, {HANGS_AFTER} s by the clock.",
        "",
        "| Reader | files | accepted | refused in one line | faults | seconds |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for name, findings in results.items():
        outcomes = findings.outcomes
        refused = {key[9:-1]: count for key, count in outcomes.most_common() if key.startswith("refused")}
        by_class = ", ".join(f"{count:,} {key}" for key, count in refused.items())
        faults = sum(count for key, count in outcomes.items() if key.startswith(FAULT))
        total = f"{outcomes.total():,} | {outcomes['accepted']:,}"
        lines.append(f"| {name} | {total} | {by_class} | {faults} | {findings.seconds:.0f} |")
    listed = [f"- {name}: {fault}" for name, findings in results.items() for fault in findings.faults.values()]
    return "\n".join([*lines, "", *(listed or ["No faults."]), ""])


def main() -> None:
    """Print what was found; the exit code is 1 where there are faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="for all readers together")
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader at most")
    parser.add_argument("--jobs", type=int, default=1, help="readers that are tried at once")
    parser.add_argument("--reader", action="append", choices=[reader.name for reader in READERS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=Path, default=Path(tempfile.gettempdir()) / "shapleycam-fuzz")
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args()
    readers = [reader for reader in READERS if not options.reader or reader.name in options.reader]
    if options.replay:
        return replay(readers[0], options.replay)
    share = options.seconds * min(options.jobs, len(readers)) / len(readers)
    with ThreadPoolExecutor(options.jobs) as pool:
        tried = pool.map(
            lambda reader: try_reader(reader, options.seed, options.inputs, share, options.faults), readers
        )
        results = dict(zip([reader.name for reader in readers], tried, strict=True))
    text = text_of(results)
    print(text) if options.reader else report("fuzz.md", text)
    return sys.exit(any(findings.faults for findings in results.values()))


_CONTEXT = multiprocessing.get_context("spawn")  # polars and pyarrow hang in a fork of a process with their threads

if __name__ == "__main__":
    main()
