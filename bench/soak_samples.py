"""What the soak measures of its process between two rounds, and what these numbers say about leaks."""

from __future__ import annotations

import csv
import ctypes
import gc
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import psutil
import torch
from matplotlib.figure import Figure
from scipy.stats import theilslopes

_LIBC = ctypes.CDLL(None)
MOST_GROWTH = 0.01
"""How far the memory of the last quarter may be from that of the second, as a share of it."""


@dataclass(frozen=True)
class Sample:
    """The process at rest: no call runs, and garbage was collected.

    `rss_mb` is with what the allocator keeps for later, `trimmed_mb` and `uss_mb` after `malloc_trim`.
    """

    minutes: float
    calls: int
    rss_mb: float
    trimmed_mb: float
    uss_mb: float
    files: int
    threads: int
    objects: int
    tensors: int
    temporary_files: int

    @classmethod
    def take(cls, minutes: float, calls: int) -> Sample:
        """Return a sample of this process."""
        gc.collect()
        process, objects = psutil.Process(), gc.get_objects()
        before = process.memory_info().rss
        _LIBC.malloc_trim(0)
        memory = process.memory_full_info()
        return cls(
            minutes,
            calls,
            before / 1e6,
            memory.rss / 1e6,
            memory.uss / 1e6,
            process.num_fds(),
            process.num_threads(),
            len(objects),
            sum(issubclass(type(each), torch.Tensor) for each in objects),
            sum(1 for _ in Path(tempfile.gettempdir()).rglob("*")),
        )


def process_state() -> dict[str, object]:
    """Return the switches of the process that an explanation changes while it runs, and must restore."""
    cuda = torch.backends.cuda
    return {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "attention kernels": (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "checkpointing": repr(torch.utils.checkpoint.CheckpointFunction),
        "autocast's entrance": repr(torch.autocast.__enter__),
        "filters of warnings": list(warnings.filters),
        "Python threads": threading.active_count(),
    }


@dataclass(frozen=True)
class Verdict:
    """One quantity over time: its medians of the second and the last quarter, and its slope after the first."""

    name: str
    second_quarter: float
    last_quarter: float
    slope_per_hour: float
    may_vary: float | None

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample], may_vary: float | None) -> Verdict:
        """Return what the samples say of one quantity; `may_vary` is the share by which it may differ, None for any."""
        minutes, numbers = (np.array([getattr(each, key) for each in samples]) for key in ("minutes", name))
        quarter = minutes / minutes[-1] * 4
        slope = float(theilslopes(numbers[quarter >= 1], minutes[quarter >= 1])[0]) * 60
        medians = (float(np.median(numbers[(quarter >= low) & (quarter <= low + 1)])) for low in (1, 3))
        return cls(name, *medians, slope, may_vary)

    @property
    def change(self) -> float:
        """Return the change from the second to the last quarter, as a share."""
        return self.last_quarter / self.second_quarter - 1 if self.second_quarter else float(self.last_quarter != 0)

    @property
    def holds(self) -> bool:
        """Return whether the quantity is as constant as it should be."""
        return self.may_vary is None or abs(self.change) <= self.may_vary

    @property
    def word(self) -> str:
        """Return the verdict in a word."""
        return "" if self.may_vary is None else "yes" if self.holds else "**no**"


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Return what the samples say: memory and objects within 1 %, files and threads constant."""
    flat = ["trimmed_mb", "uss_mb", "objects", "tensors"]
    constant = ["files", "threads", "temporary_files"]
    return [
        Verdict.of("rss_mb", samples, None),
        *(Verdict.of(name, samples, MOST_GROWTH) for name in flat),
        *(Verdict.of(name, samples, 0) for name in constant),
    ]


def write_csv(samples: Sequence[Sample], path: Path) -> None:
    """Write one row a sample."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: round(number, 3) for name, number in asdict(sample).items()} for sample in samples)


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Draw each quantity over time, with the first quarter, in which caches fill, in grey."""
    panels: dict[str, Callable[[Sample], tuple[float, ...]]] = {
        "memory in MB (RSS, trimmed, USS)": lambda each: (each.rss_mb, each.trimmed_mb, each.uss_mb),
        "open files, threads": lambda each: (each.files, each.threads),
        "Python objects in thousands": lambda each: (each.objects / 1000,),
        "tensors, temporary files": lambda each: (each.tensors, each.temporary_files),
    }
    figure = Figure(figsize=(10, 6), layout="constrained")
    minutes = [each.minutes for each in samples]
    for axes, (title, numbers) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        axes.plot(minutes, [numbers(each) for each in samples], linewidth=1)
        axes.axvspan(0, minutes[-1] / 4, color="0.92")
        axes.set(title=title, xlabel="minutes", ylim=(0, None))
    figure.savefig(path, dpi=90)
