"""A long-running service: an hour of mixed calls in one process, right and wrong, by several threads at once.

python bench/soak.py [--minutes N] [--seed N] [--out FOLDER]     prints, and writes soak.csv, soak.png and soak.md

In each round two to four new threads call at once, each several times, explainers of nine models that they share, and
new ones; every tenth call is wrong on purpose. The main thread meanwhile explains until a signal interrupts it, at a
moment drawn at random (SIGALRM: not on Windows). After each round, when all threads have ended, the process is measured
(soak_samples.py).

The exit code is 1 where a call did not end as it should, an answer changed, a switch of the process was not restored,
memory is not flat within 1% (median of the last quarter of the time against the second), or files or threads are not
constant.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import run
from threading import Lock, Thread

import torch

from measure import RESULTS, machine
from shapleycam.cli.photographs import demo_photo
from shapleycam.errors import ShapleyCamWarning
from soak_calls import CALLS, WRONG_CALLS, Service, reference
from soak_samples import Sample, Verdict, plot, process_state, verdicts, write_csv

CALLS_A_ROUND = 4
"""Of each thread."""
WRONG = 0.1
"""The share of calls that are wrong on purpose."""


@dataclass
class Tally:
    """How the calls ended, by kind; `faults` are those that did not end as they should."""

    ended: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def record(self, kind: str, fault: str = "") -> None:
        """Record one call."""
        with self._lock:
            self.ended[kind] += 1
            if fault:
                self.faults.append(f"{kind}: {fault}")


def call(service: Service, tally: Tally, draw: random.Random) -> None:
    """Make one call, right or wrong, and record whether it ended as it should."""
    if draw.random() < WRONG:
        kind = draw.choice(list(WRONG_CALLS))
        make_call, error_class, pattern = WRONG_CALLS[kind]
        try:
            make_call(service, draw)
        except error_class as error:
            tally.record(kind, "" if re.search(pattern, str(error)) else f"message {str(error)!r}")
        except BaseException:  # noqa: BLE001  # it is reported
            tally.record(kind, traceback.format_exc())
        else:
            tally.record(kind, f"no {error_class.__name__}")
        return
    function = draw.choice(CALLS)
    try:
        function(service, draw)
    except BaseException:  # noqa: BLE001  # it is reported
        tally.record(function.__name__, traceback.format_exc())
    else:
        tally.record(function.__name__)


@contextmanager
def interrupted_after(seconds: float) -> Iterator[list[float]]:
    """Raise KeyboardInterrupt in the main thread after this time, as Ctrl-C does, if the code inside still runs.

    Yields a list in which the time is then: Python drops exceptions that a signal raises in a destructor or a callback.
    """
    fired: list[float] = []

    def interrupt(*_: object) -> None:
        fired.append(time.monotonic())
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield fired
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt_a_call(service: Service, tally: Tally, draw: random.Random) -> None:
    """Explain until a signal interrupts it."""
    try:
        with interrupted_after(draw.uniform(0.05, 1)) as fired:
            while not fired:
                name, explainer = service.named(draw)
                explainer.explain(service.images(name, draw, 2), draw.choice(["gradcam", "shapleycam", "pathcam"]))
    except KeyboardInterrupt:
        tally.record("an interrupt by a signal")
    except Exception:  # noqa: BLE001  # it is reported
        tally.record("an interrupt by a signal", traceback.format_exc())


def play_round(service: Service, tally: Tally, draw: random.Random) -> None:
    """Call from two to four threads at once, and be interrupted in this one."""

    def work(seed: int) -> None:
        own = random.Random(seed)  # noqa: S311
        for _ in range(CALLS_A_ROUND):
            call(service, tally, own)

    threads = [Thread(target=work, args=(draw.getrandbits(32),)) for _ in range(draw.randint(2, 4))]
    for thread in threads:
        thread.start()
    interrupt_a_call(service, tally, draw)
    for thread in threads:
        thread.join()


def soak(minutes: float, seed: int, place: Path) -> tuple[list[Sample], Tally]:
    """Make calls for so long, and return the samples and how the calls ended."""
    draw, tally = random.Random(seed), Tally()  # noqa: S311
    service = Service.start(place, demo_photo())
    first_answer, state = reference(service, draw), process_state()
    start, samples = time.monotonic(), []
    while time.monotonic() - start < minutes * 60:
        play_round(service, tally, draw)
        same = torch.allclose(reference(service, draw), first_answer, rtol=1e-4, atol=1e-6)
        tally.record("reference", "" if same else "the answer is another than at the start")
        changed = [name for name, value in process_state().items() if value != state[name]]
        tally.record("switches of the process", f"not restored: {', '.join(changed)}" if changed else "")
        samples.append(Sample.take((time.monotonic() - start) / 60, tally.ended.total()))
    return samples, tally


def summary(samples: list[Sample], tally: Tally, judged: list[Verdict], seed: int) -> str:
    """Return the result in Markdown."""
    commit = run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
    rows = "\n".join(
        f"| {each.name} | {each.second_quarter:,.1f} | {each.last_quarter:,.1f} | {each.change:+.2%} | "
        f"{each.slope_per_hour:+,.2f} | {each.word} |"
        for each in judged
    )
    counts = "\n".join(f"| {kind} | {count:,} |" for kind, count in sorted(tally.ended.items()))
    faults = "\n".join(f"```\n{fault}\n```" for fault in tally.faults[:10])
    return f"""# A long-running service

`python bench/soak.py`: {samples[-1].minutes:.0f} minutes of mixed calls in one process, by 2 to 4 threads at once
with PyTorch's threads at {torch.get_num_threads()}, seed {seed}, commit {commit or "unknown"}.

{machine("timm", "torchvision")}

Measured after each round, when no call runs, {len(samples)} times: memory after glibc's `malloc_trim` (trimmed_mb,
uss_mb), which gives back what the allocator keeps for later calls, and before it (rss_mb), of which nothing is asked.
Flat means that the median of the last quarter of the time is within 1% of that of the second quarter; files, threads
and temporary files are to be the same. RSS (trimmed_mb) may fall: it counts pages of library files, which the kernel
takes away where other processes need memory; USS (uss_mb) is the process's own. The slope is Theil and Sen's, from the
second quarter on.

| | second quarter | last quarter | change | slope an hour | as it should be |
|---|---|---|---|---|---|
{rows}

![memory, files, threads, objects](soak.png)

Calls, {tally.ended.total():,} in all, of which {len(tally.faults)} did not end as they should:

| call | ended |
|---|---|
{counts}

{faults}
"""


def main() -> None:
    """Run the soak, and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ShapleyCamWarning)  # blank maps of noise say nothing here
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = place  # all temporary files are counted
        samples, tally = soak(options.minutes, options.seed, Path(place))
        tempfile.tempdir = None
    judged = verdicts(samples)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(samples, options.out / "soak.csv")
    plot(samples, options.out / "soak.png")
    text = summary(samples, tally, judged, options.seed)
    print(text)
    (options.out / "soak.md").write_text(text)
    sys.exit(0 if not tally.faults and all(each.holds for each in judged) else 1)


if __name__ == "__main__":
    main()
