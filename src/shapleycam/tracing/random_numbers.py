"""Random number generators of PyTorch, numpy and Python: seeding them, restoring them, noticing their use."""

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
    """Whether a generator of PyTorch, numpy or Python was used inside `reseed`; known when the context ends."""

    used: bool = False


@contextmanager
def reseed(seed: int) -> Iterator[RandomUse]:
    """Set the seed of all generators for the code inside; only for use inside `run_context`, which restores them."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the generator that models use
    before, use = _generator_states(), RandomUse()
    yield use
    use.used = _generator_states() != before


@contextmanager
def restore_python_generators() -> Iterator[None]:
    """Restore the states of Python's and numpy's global generators after the code inside."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  # what models use
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _generator_states() -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state().numpy().tobytes() if torch.cuda.is_initialized() else b""
    _, key, position, *_ = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), cuda, np.asarray(key).tobytes(), position, random.getstate()
