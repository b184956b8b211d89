"""`time_methods`: measures the time of each method, and its ratio to that of a plain forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import perf_counter

import torch

from shapleycam.errors import ignore_warnings
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.question import UtilityChoice
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.values.options import EstimatorOptions

_REPEATS = 3
"""Number of timings of each method and of the plain pass; their median is used."""


def time_methods(
    explainer: Explainer, batch: Batch, utility: UtilityChoice, methods: Sequence[str], options: EstimatorOptions
) -> dict[str, tuple[float, float]]:
    """Return for each method the median seconds to explain the batch, and the median ratio to a plain pass."""
    plain = partial(_plain_pass, explainer, batch)

    def explain(method: str) -> None:
        with ignore_warnings():
            explainer.compare_with(options, batch, [method], [None], utility)

    times = {}
    for method in methods:
        pairs = [(seconds_of(plain), seconds_of(partial(explain, method))) for _ in range(_REPEATS)]
        times[method] = median(method_s for _, method_s in pairs), median(m / pass_s for pass_s, m in pairs)
    return times


def time_plain_pass(explainer: Explainer, batch: Batch) -> float:
    """Return the median seconds of a plain forward pass over the batch."""
    return median(seconds_of(partial(_plain_pass, explainer, batch)) for _ in range(_REPEATS))


def _plain_pass(explainer: Explainer, batch: Batch) -> None:
    with isolated_copy(explainer.model) as model:
        batch.extra.call(model, batch.images)


def seconds_of(call: Callable[[], object]) -> float:
    """Return the wall time of a call, including the work on a GPU that is unfinished when the call returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start
