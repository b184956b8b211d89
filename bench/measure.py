"""How the benchmarks measure: ratios within one run, the two sides alternating, medians."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
THREADS = min(2, os.cpu_count() or 1)


def machine(*packages: str) -> str:
    """What was measured on, in a line."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    return (
        f"{model}, {os.cpu_count()} cores, {THREADS} threads{gpu}; {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def seconds(call: Callable[[], object], device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """The time of one call by a clock: wall time, or that of the processor on a machine with other work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def time_ratios(
    floor: Callable[[], object],
    others: Mapping[str, Callable[[], object]],
    rounds: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, dict[str, float]]:
    """The floor's median seconds, and each other's median ratio to the floor measured just before it."""
    for call in (floor, *others.values()):
        call()
    floors: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for _ in range(rounds):
        for name, call in others.items():
            floors.append(seconds(floor, device, clock))
            ratios[name].append(seconds(call, device, clock) / floors[-1])
    return statistics.median(floors), {
        name: statistics.median(measured_ratios) for name, measured_ratios in ratios.items()
    }


def peak_of_process(script: Path, *arguments: str) -> float:
    """The peak resident memory in MB that a fresh process prints last."""
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.strip().splitlines()[-1])


def peak_resident() -> float:
    """This process's peak resident memory so far, in MB."""
    with Path("/proc/self/status").open(encoding="utf-8") as lines:
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def peak_on_gpu(call: Callable[[], object]) -> float:
    """The most memory that PyTorch held on the GPU during a call, in MB."""
    call()
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() / 2**20


def report(name: str, text: str) -> None:
    """Print, and keep under bench/results/."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(text)
