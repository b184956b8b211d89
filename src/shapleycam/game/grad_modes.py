"""Contexts that record gradients, or do not; both switch autocast off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from shapleycam.tracing.suspension import in_full_precision


@contextmanager
def with_gradients() -> Iterator[None]:
    """Record gradients, even inside the caller's no_grad or inference_mode, and switch autocast off."""
    with torch.inference_mode(mode=False), torch.enable_grad(), in_full_precision():
        yield


@contextmanager
def without_gradients() -> Iterator[None]:
    """Record no gradients and switch autocast off; new tensors can be used in autograd later.

    Tensors that are made in inference_mode cannot be used in autograd. So this context leaves that mode too.
    """
    with torch.inference_mode(mode=False), torch.no_grad(), in_full_precision():
        yield
