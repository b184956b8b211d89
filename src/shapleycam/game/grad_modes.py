"""Two contexts of this package: with gradients, and without; both compute in the tensors' precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from shapleycam.tracing.suspension import in_full_precision


@contextmanager
def with_gradients() -> Iterator[None]:
    """Record gradients, also inside the caller's no_grad or inference_mode, and switch autocast off."""
    with torch.inference_mode(mode=False), torch.enable_grad(), in_full_precision():
        yield


@contextmanager
def without_gradients() -> Iterator[None]:
    """Record no gradients, compute in the tensors' precision, and make tensors that may enter a graph later.

    Tensors made under inference_mode could not, therefore that mode is left here too.
    """
    with torch.inference_mode(mode=False), torch.no_grad(), in_full_precision():
        yield
