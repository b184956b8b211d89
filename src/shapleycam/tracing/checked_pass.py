"""`run_checked`: a traced pass in the fastest form that is proven, whose result is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch

from shapleycam.errors import ModelError
from shapleycam.tracing._trace import Trace
from shapleycam.tracing.agreement import first_row_equals, outputs_equal
from shapleycam.tracing.channels_last import BypassMonitor, Form, MemoryOrder, form_of, is_telling, run_fastest
from shapleycam.tracing.checks import check_result, mark_checked, needs_check
from shapleycam.tracing.interrupts import result_or_none
from shapleycam.tracing.isolation import WrittenTensors, watch_shared_tensors
from shapleycam.tracing.plan import Plan
from shapleycam.tracing.reduced_precision import ReducedPass, check_takes_bfloat16, mark_compared, was_compared
from shapleycam.tracing.reproducible import PlainRun, check_reproducible
from shapleycam.tracing.single_pass import SinglePass
from shapleycam.tracing.weight_changes import WeightsMark


def run_checked(single: SinglePass, plan: Plan | None) -> Trace:
    """Run a pass, and check that its activation and output can be explained.

    `plan` says what to record for replay; None records nothing.

    Raises:
        LayerError, ModelError: as `trace`.
    """
    if single.precision != "full":
        return _run_reduced(single, plan)
    watch = watch_shared_tensors(single.copied)
    plain_run = cache(single.plain_run)
    traced = _run_fastest(single, plan, lambda: plain_run(1, 1))
    _check_unwritten(watch)
    key = ("repeats", single.layer, single.images.shape, single.images.dtype, single.images.device)
    check_reproducible(
        single.owner, key, traced.activation.detach(), traced.output, plain_run, single.images, single.plain_run_of_rows
    )
    return traced


def _run_reduced(single: SinglePass, plan: Plan | None) -> Trace:
    """Run the pass in bfloat16 up to the layer.

    The first pass for these weights, layer and batch shape is compared with a pass in full precision, which also
    makes all other checks of the model.

    Raises:
        OptionError: the weights or images are not in float32.
        LayerError, ModelError: bfloat16 cannot be used before this layer, or changes the output too much.
    """
    check_takes_bfloat16(single.owner, single.images)
    key = ("precision", single.precision, single.layer, single.images.shape, single.images.device)
    exact, weights = None, WeightsMark.of(single.owner)
    if not was_compared(single.owner, key, weights):
        exact = run_checked(replace(single, precision="full", is_shown=False), plan)
    form = form_of(single.owner, single.images, single.layer)
    order = (check_result(single.owner, form) if form else None) or None  # False: channels_last is refused
    watch, reduced = watch_shared_tensors(single.copied), ReducedPass(single.images.device, watched=exact is not None)
    traced = single.run(plan, order, None, reduced)
    _check_unwritten(watch)
    if exact is not None:
        reduced.check(single.layer, traced.output, exact.output)
        mark_compared(single.owner, key, weights)
    return traced


def _run_fastest(single: SinglePass, plan: Plan | None, run_alone: Callable[[], PlainRun]) -> Trace:
    """Run the pass; in channels_last up to the layer, if that is faster and proven to give the default result.

    The proof compares the first image of the batch with a run of this image alone in the default memory order.
    """
    form = form_of(single.owner, single.images, single.layer)
    is_proven = form is None or not needs_check(single.owner, form)
    if not is_proven and not is_telling(single.images[0]):
        is_proven = _try_on_noise(single, form)
    monitor = None if is_proven else BypassMonitor((*single.copied.parameters(), *single.copied.buffers()))

    def proves(traced: Trace) -> bool:
        alone, is_bypassed = run_alone(), monitor is not None and monitor.is_bypassed
        first = traced.activation.detach()[:1]
        return (
            not is_bypassed
            and outputs_equal(first, alone.activation)
            and first_row_equals(traced.output, len(single.images), alone.output)
        )

    return run_fastest(
        single.owner,
        form,
        learn_order=lambda: MemoryOrder.of(run_alone().activation),
        run=lambda order: single.run(plan, order, monitor),
        proves=proves,
    )


def _try_on_noise(single: SinglePass, form: Form) -> bool:
    """Make the proof of `_run_fastest` with random images; return True, because nothing is left to prove.

    It is used if the first image is its own mirror image, which could not show that numbers changed places. The
    result, proven or refused, is recorded; so it does not depend on the images that were explained before.
    """
    noise = torch.rand(
        single.images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu"
    )
    on_noise = replace(single, images=noise)
    if result_or_none(lambda: _run_fastest(on_noise, None, lambda: on_noise.plain_run(1, 1))) is None:
        mark_checked(single.owner, form, result=False)
    return True


def _check_unwritten(watch: WrittenTensors) -> None:
    """Refuse a model that writes into its parameters: the private copy shares them with the user's model."""
    written = watch.describe_first()
    if written is not None:
        raise ModelError(
            f"the model writes into its own weights while it runs ({written} changed in the forward pass); "
            "expected a model that is the same after each pass: keep such state in a buffer, which is copied"
        )
