"""The random number generators of PyTorch, numpy and Python: set their seeds, restore them, detect their use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass
class RandomUse:
    """Whether a generator of PyTorch, numpy or Python was used inside `reseed`; set when the context ends."""

    used: bool = False


@contextmanager
def reseed(seed: int) -> Iterator[RandomUse]:
    """Set the seed of all generators for the code inside. Use it inside `run_context`, which restores them."""
    seed_torch(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the generator that models use
    before, use = _generator_states(), RandomUse()
    yield use
    use.used = _generator_states() != before


def seed_torch(seed: int) -> None:
    """Set the seed of PyTorch's generators that are in use.

    `torch.manual_seed` would also set the seed of GPUs that the program uses later for the first time.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


@contextmanager
def restore_torch_generators() -> Iterator[None]:
    """Restore the states of PyTorch's global generators (of the CPU and all GPUs in use) on exit."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(devices)):
        yield


@contextmanager
def restore_python_generators() -> Iterator[None]:
    """Restore the states of Python's and numpy's global generators on exit."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  # what models use
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _generator_states() -> tuple[Any, ...]:
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    states = [state.numpy().tobytes() for state in (torch.get_rng_state(), *gpus)]
    _, key, position, *_ = np.random.get_state()  # noqa: NPY002
    return *states, np.asarray(key).tobytes(), position, random.getstate()
