"""A network whose passes can be held, so that there is something left to do when who runs it is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from torch import Tensor

from helpers.small_evaluations import LABELS, PREPROCESS, Tiny
from shapleycam import Network

HOLD = "SHAPLEYCAM_TEST_HOLD"
"""Environment variable: the file that says, while it exists, which run is held and when."""


class Slow(Tiny):
    """The network `Tiny` whose passes wait while its run is held."""

    def forward(self, x: Tensor) -> Tensor:
        while is_held():
            time.sleep(0.02)
        return super().forward(x)


def slow() -> Network:
    return Network(Slow(), PREPROCESS, LABELS, "tiny")


def is_held() -> bool:
    """Return whether the run that is named in the file has written as many chunks as the file says."""
    try:
        out, chunks = Path(os.environ.get(HOLD, "")).read_text(encoding="utf-8").rsplit(" ", 1)
    except OSError:
        return False
    return len(list(Path(out).rglob("*.parquet"))) >= int(chunks)


@contextmanager
def held_after(chunks: int, out: Path) -> Iterator[Callable[[], None]]:
    """Hold the passes of `slow()`, in all processes, once the run in `out` has written so many chunks.

    What is given ends that before the block does. Chunks that other processes are about to write still come.
    """
    file = Path(os.environ[HOLD])
    file.write_text(f"{out} {chunks}", encoding="utf-8")
    release = partial(file.unlink, missing_ok=True)
    try:
        yield release
    finally:
        release()
