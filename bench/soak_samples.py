"""What the soak measures of its process between two rounds, and what these numbers say about leaks."""

from __future__ import annotations

import csv
import ctypes
import gc
import tempfile
import threading
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import psutil
import torch
from matplotlib.figure import Figure
from scipy.stats import theilslopes

_LIBC = ctypes.CDLL(None)
MOST_GROWTH = 0.01
"""How much more memory there may be in the last quarter than in the second, as a share of it."""


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
    limits: tuple[float, float] | None

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample], limits: tuple[float, float] | None) -> Verdict:
        """Return what the samples say of one quantity; `limits` are the shares by which it may fall and rise."""
        minutes, numbers = (np.array([getattr(each, key) for each in samples]) for key in ("minutes", name))
        quarter = minutes / minutes[-1] * 4
        slope = float(theilslopes(numbers[quarter >= 1], minutes[quarter >= 1])[0]) * 60
        medians = (float(np.median(numbers[(quarter >= low) & (quarter <= low + 1)])) for low in (1, 3))
        return cls(name, *medians, slope, limits)

    @property
    def change(self) -> float:
        """Return the change from the second to the last quarter, as a share."""
        return self.last_quarter / self.second_quarter - 1 if self.second_quarter else float(self.last_quarter != 0)

    @property
    def holds(self) -> bool:
        """Return whether the quantity is as constant as it should be."""
        return self.limits is None or -self.limits[0] <= self.change <= self.limits[1]

    @property
    def word(self) -> str:
        """Return the verdict in a word."""
        return "" if self.limits is None else "yes" if self.holds else "**no**"


def verdicts(samples: Sequence[Sample]) -> list[Verdict]:
    """Return what the samples say: memory and objects within 1%, files and threads constant.

    RSS counts pages of library files too, which the kernel takes away where other processes need memory: it may fall.
    """
    flat, constant = (MOST_GROWTH, MOST_GROWTH), (0.0, 0.0)
    limits = {"rss_mb": None, "trimmed_mb": (1.0, MOST_GROWTH), "uss_mb": flat, "objects": flat, "tensors": flat}
    limits |= dict.fromkeys(("files", "threads", "temporary_files"), constant)
    return [Verdict.of(name, samples, limits[name]) for name in limits]


def write_csv(samples: Sequence[Sample], path: Path) -> None:
    """Write one row a sample."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: round(number, 3) for name, number in asdict(sample).items()} for sample in samples)


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Draw each quantity over time, with the first quarter, in which caches fill, in grey."""
    panels = {
        "memory in MB, with what the allocator keeps (RSS), without (trimmed), the process's own (USS)": (
            *("rss_mb", "trimmed_mb", "uss_mb"),
        ),
        "open files and threads": ("files", "threads"),
        "Python objects": ("objects",),
        "tensors and temporary files": ("tensors", "temporary_files"),
    }
    figure = Figure(figsize=(10, 9), layout="constrained")
    minutes = [each.minutes for each in samples]
    for axes, (title, names) in zip(figure.subplots(4, 1, sharex=True), panels.items(), strict=True):
        for name in names:
            axes.plot(minutes, [getattr(each, name) for each in samples], linewidth=1, label=name)
        axes.axvspan(0, minutes[-1] / 4, color="0.92")
        axes.set_title(title, fontsize=10)
        axes.set_ylim(0, 1.15 * max(getattr(each, name) for each in samples for name in names))
        axes.legend(fontsize=8, ncols=3, loc="lower right")
    axes.set_xlabel("minutes")
    figure.savefig(path, dpi=90)
