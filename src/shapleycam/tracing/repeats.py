"""Whether two runs gave the same: whole outputs, and one row of a batch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shapleycam.tracing.nested import tensors_of

_ROUNDINGS = 100
"""How many roundings of its largest number two runs of the same operations may differ by."""
_OTHER_BATCH = 1e-3
"""Share of the largest number by which a row may differ alone and in a batch, where other kernels compute it."""


@dataclass
class Draws:
    """Whether a generator of PyTorch, numpy or Python was drawn from inside `reseeded`; known at its end."""

    any: bool = False


@contextmanager
def reseeded(seed: int) -> Iterator[Draws]:
    """Let everything inside draw from other random numbers; for inside `undisturbed`, which restores them."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the generator that models use
    before, draws = _generator_states(), Draws()
    yield draws
    draws.any = _generator_states() != before


def _generator_states() -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state().numpy().tobytes() if torch.cuda.is_initialized() else b""
    _, arrays, place, *_ = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), cuda, np.asarray(arrays).tobytes(), place, random.getstate()


def same(values: Any, expected: Any) -> bool:
    """Whether two outputs of the same operations agree, up to rounding of their precision."""
    if not isinstance(values, type(expected)):
        return False
    ours, theirs = tensors_of(values), tensors_of(expected)
    return len(ours) == len(theirs) and all(map(_equal_to_rounding, ours, theirs))


def row_of(values: Any, row: int, rows: int, alone: Any) -> bool:
    """Whether row `row` of an output of `rows` rows is what the row gave alone, as far as another batch size allows.

    Outputs that are no tensors with a row for each image, detections say, are not compared.
    """
    pairs = zip(tensors_of(values), tensors_of(alone), strict=False)
    comparable = ((b, s) for b, s in pairs if b.dim() and len(b) == rows and s.shape == (1, *b.shape[1:]))
    return all(close(batch[row : row + 1], single) for batch, single in comparable)


def close(values: Tensor, expected: Tensor) -> bool:
    """Whether a tensor is another up to what other kernels change."""
    if values.shape != expected.shape:
        return False
    if not expected.is_floating_point() or not expected.numel():
        return torch.equal(values, expected)
    numbers, others = values.detach().double(), expected.detach().double()
    finite = torch.isfinite(others)
    if not torch.equal(finite, torch.isfinite(numbers)):
        return False
    largest = others[finite].abs().max() if bool(finite.any()) else others.new_zeros(())
    return bool(((numbers - others)[finite].abs() <= _OTHER_BATCH * largest).all())


def _equal_to_rounding(values: Tensor, expected: Tensor) -> bool:
    if values.shape != expected.shape:
        return False
    if not expected.numel() or not expected.is_floating_point():
        return torch.equal(values, expected)
    infinite = torch.isinf(expected)  # masks among logits
    if not torch.equal(values[infinite], expected[infinite]):
        return False
    finite = expected[~infinite]
    tolerance = finite.abs().max() * _ROUNDINGS * torch.finfo(expected.dtype).eps if finite.numel() else 0
    return bool(((values[~infinite] - finite).abs() <= tolerance).all())
