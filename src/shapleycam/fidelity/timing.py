"""Time of each method beside the plain forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import torch

from shapleycam.errors import ignore_warnings
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.values.options import EstimatorOptions

_TIMED = 3
"""How often each method is timed, beside the plain pass; the median counts."""


def time_methods(
    explainer: Explainer, batch: Batch, utility: str, methods: Sequence[str], options: EstimatorOptions
) -> dict[str, tuple[float, float]]:
    """Return of each method the median seconds of explaining the batch, and the median ratio to a plain pass."""

    def plain() -> None:
        with isolated_copy(explainer.model) as model:
            batch.extra.call(model, batch.images)

    def explain(method: str) -> None:
        with ignore_warnings():
            explainer.compare_with(options, batch, [method], [None], utility)

    times = {}
    for method in methods:
        pairs = [(_seconds(plain), _seconds(partial(explain, method))) for _ in range(_TIMED)]
        times[method] = median(method_s for _, method_s in pairs), median(m / pass_s for pass_s, m in pairs)
    return times


def _seconds(call: Callable[[], None]) -> float:
    """Return the wall time until the work is done, also on a GPU, where calls return before it is."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start
