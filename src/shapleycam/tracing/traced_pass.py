"""Traced passes: runs of a model in which autograd's graph begins at the layer, with the checks of their results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import LayerError, ModelError
from shapleycam.tracing._trace import Trace
from shapleycam.tracing.agreement import first_row_equals, outputs_equal
from shapleycam.tracing.calls import enclosing_calls, rerun_layer_error
from shapleycam.tracing.channels_last import BypassMonitor, Form, MemoryOrder, form_of, is_telling, run_fastest
from shapleycam.tracing.checks import check_result, mark_checked, needs_check
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.graph import depends_on
from shapleycam.tracing.graph_start import GraphStart
from shapleycam.tracing.input_layer import layer_module
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.interrupts import has_interrupt
from shapleycam.tracing.isolation import WrittenTensors, run_context, show_to_user_hooks, watch_shared_tensors
from shapleycam.tracing.layer_output import activation_in
from shapleycam.tracing.nested import float_tensors_of, is_empty
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.plan import Plan
from shapleycam.tracing.random_numbers import reseed
from shapleycam.tracing.reduced_precision import (
    Precision,
    ReducedPass,
    check_takes_bfloat16,
    mark_compared,
    was_compared,
)
from shapleycam.tracing.replay import Recorder, Replay
from shapleycam.tracing.reproducible import PlainRun, check_reproducible
from shapleycam.tracing.running import run
from shapleycam.tracing.selected_output import SelectedOutput
from shapleycam.tracing.soundness import check_finite, check_output, empty_output_error
from shapleycam.tracing.weight_changes import WeightsMark


@dataclass(frozen=True)
class TracedPasses:
    """Traced passes over one batch of images.

    Attributes:
        owner: the user's model.
        copied: the private copy of it that runs.
        images: the batch.
        extra: further inputs of the model.
        layer: the layer's name.
        select: a function that selects the output to explain from what the model returns.
        twice: whether what comes after the layer must have second derivatives.
        precision: the precision before the layer.
        is_shown: whether the user's hooks see the passes.
        needs_graph: whether an output without autograd's graph is refused if the pass is not recorded.
    """

    owner: nn.Module
    copied: nn.Module
    images: Tensor
    extra: ExtraInputs
    layer: str
    select: OutputSelector
    twice: bool
    precision: Precision = "full"
    is_shown: bool = True
    needs_graph: bool = True

    def run_checked(self, plan: Plan | None) -> Trace:
        """Run a pass, and check that its activation and output can be explained.

        `plan` says what to record for replay; None records nothing.

        Raises:
            LayerError, ModelError: as `trace`.
        """
        if self.precision != "full":
            return self._run_reduced(plan)
        watch = watch_shared_tensors(self.copied)
        plain_run = cache(self._plain_run)
        traced = self._run_fastest(plan, lambda: plain_run(1, 1))
        self._check_unwritten(watch)
        key = ("repeats", self.layer, self.images.shape, self.images.dtype, self.images.device)
        check_reproducible(
            self.owner, key, traced.activation.detach(), traced.output, plain_run, self.images, self._plain_run_of_rows
        )
        return traced

    def _run_reduced(self, plan: Plan | None) -> Trace:
        """Run the pass in bfloat16 up to the layer.

        The first pass for these weights, layer and batch shape is compared with a pass in full precision, which also
        makes all other checks of the model.

        Raises:
            OptionError: the weights or images are not in float32.
            LayerError, ModelError: bfloat16 cannot be used before this layer, or changes the output too much.
        """
        check_takes_bfloat16(self.owner, self.images)
        key = ("precision", self.precision, self.layer, self.images.shape, self.images.device)
        exact, weights = None, WeightsMark.of(self.owner)
        if not was_compared(self.owner, key, weights):
            exact = replace(self, precision="full", is_shown=False).run_checked(plan)
        form = form_of(self.owner, self.images, self.layer)
        order = (check_result(self.owner, form) if form else None) or None  # False: channels_last is refused
        watch, reduced = watch_shared_tensors(self.copied), ReducedPass(self.images.device, watched=exact is not None)
        traced = self._run(plan, order, None, reduced)
        self._check_unwritten(watch)
        if exact is not None:
            reduced.check(self.layer, traced.output, exact.output)
            mark_compared(self.owner, key, weights)
        return traced

    def _run_fastest(self, plan: Plan | None, run_alone: Callable[[], PlainRun]) -> Trace:
        """Run the pass; in channels_last up to the layer, if that is faster and proven to give the default result.

        The proof compares the first image of the batch with a run of this image alone in the default memory order.
        """
        form = form_of(self.owner, self.images, self.layer)
        is_proven = form is None or not needs_check(self.owner, form)
        if not is_proven and not is_telling(self.images[0]):
            is_proven = self._try_on_noise(form)
        monitor = None if is_proven else BypassMonitor((*self.copied.parameters(), *self.copied.buffers()))

        def proves(traced: Trace) -> bool:
            alone, is_bypassed = run_alone(), monitor is not None and monitor.is_bypassed
            first = traced.activation.detach()[:1]
            return (
                not is_bypassed
                and outputs_equal(first, alone.activation)
                and first_row_equals(traced.output, len(self.images), alone.output)
            )

        return run_fastest(
            self.owner,
            form,
            learn_order=lambda: MemoryOrder.of(run_alone().activation),
            run=lambda order: self._run(plan, order, monitor),
            proves=proves,
        )

    def _try_on_noise(self, form: Form) -> bool:
        """Make the proof of `_run_fastest` with random images; return True, because nothing is left to prove.

        It is used if the first image is its own mirror image, which could not show that numbers changed places. The
        result, proven or refused, is recorded; so it does not depend on the images that were explained before.
        """
        noise = torch.rand(
            self.images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu"
        )
        noise_passes: TracedPasses = replace(self, images=noise)
        handled = sys.exception()
        try:
            noise_passes._run_fastest(None, lambda: noise_passes._plain_run(1, 1))
        except Exception as error:  # a model may raise anything for noise
            if has_interrupt(error, handled):
                raise
            mark_checked(self.owner, form, result=False)
        return True

    def _plain_run(self, count: int, seed: int) -> PlainRun:
        """Run the model on the first `count` images without a graph, with the random seed `seed`."""
        return self._plain_run_of_rows(self.images[:count], torch.arange(count, device="cpu"), seed)

    def _plain_run_of_rows(self, images: Tensor, samples: Tensor, seed: int = 1) -> PlainRun:
        """Run the model as `_plain_run`, on rows that were made from the images whose indices are `samples`."""
        activations: list[Tensor] = []

        def keep_activation(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            activations.append(activation_in(value, self.layer).detach().clone())
            return value

        model, extra = self.copied, self.extra.rows(samples)
        layer = layer_module(model, self.layer)
        with run_context(model), reseed(seed) as random_use, intercept_calls({layer: keep_activation}, layer):
            output = self.select(run(model, images, extra))
        return PlainRun(activations[0], output, random_use.used)

    def _run(
        self,
        plan: Plan | None,
        order: MemoryOrder | None,
        monitor: BypassMonitor | None,
        reduced: ReducedPass | None = None,
    ) -> Trace:
        """Run a pass.

        Args:
            plan: what to record for replay; None records nothing.
            order: run in channels_last up to the layer, and put the layer's output in this memory order; None runs in
                the default memory order.
            monitor: watches for tensors in channels_last that reach the head without going through the layer.
            reduced: run in bfloat16 up to the layer.
        """
        recorder = None if plan is None else Recorder(plan, self.copied)
        start, selected = self._run_model(recorder, order, monitor, reduced)
        self._check_ran_once(start)
        activation = start.activations[0]
        self._check_numbers(activation, selected.output)
        is_differentiable = depends_on(selected.output, activation)
        if plan is None and self.needs_graph and not is_differentiable:
            raise independent_output_error(self.layer)
        replay_plan = plan or Plan.without_steps(start.outputs[0])
        values = recorder.values if recorder else {}
        replay = Replay(self.copied, self.layer, replay_plan, values, self.images, self.extra, self.precision)
        return Trace(
            self.layer, self.images, activation, selected, replay, self.select,
            twice_differentiable=self.twice, is_recorded=plan is not None, is_differentiable=is_differentiable,
            owner=self.owner, order=order, precision=self.precision,
        )  # fmt: skip

    def _run_model(
        self,
        recorder: Recorder | None,
        order: MemoryOrder | None,
        monitor: BypassMonitor | None,
        reduced: ReducedPass | None,
    ) -> tuple[GraphStart, SelectedOutput]:
        """Run the model, and return the interceptor of the layer, which has the activation, and the selected output."""
        model = self.copied
        nonlinearities = NonlinearityRecorder()
        shown = show_to_user_hooks(model) if self.is_shown else nullcontext()
        in_precision = nullcontext() if reduced is None else reduced.running()
        with run_context(model), shown, in_precision, ExitStack() as head_contexts:
            layer = layer_module(model, self.layer)
            start = GraphStart(self.layer, layer, head_contexts, nonlinearities, self.twice, order, monitor, reduced)
            interceptors: dict[nn.Module, Interceptor] = dict(recorder.interceptors) if recorder else {}
            interceptors[layer] = start
            # Gradients are enabled for the whole pass, although nothing before the layer requires one: code after the
            # layer could not write into a view that was made with gradients disabled, and `select` may compute
            # (docs/decisions.md, "Nothing before the layer requires a gradient, and gradients are on in the whole
            # traced pass").
            with intercept_calls(interceptors, layer), torch.enable_grad():
                everything = run(model, self.images, self.extra, channels_last=order is not None)
                output = self.select(everything)
            return start, SelectedOutput.of(output, everything, nonlinearities)

    def _check_ran_once(self, start: GraphStart) -> None:
        if len(start.outputs) == 1:
            return
        enclosing_calls(
            self.copied, self.layer, self.images[:1], self.extra.rows(torch.zeros(1, dtype=torch.long, device="cpu"))
        )
        raise rerun_layer_error(self.layer, len(start.outputs), len(self.images))

    def _check_numbers(self, activation: Tensor, output: Any) -> None:
        images = len(self.images)
        if activation.dim() < 2 or len(activation) != images:
            raise LayerError(
                f"layer {self.layer!r} returns shape {tuple(activation.shape)} for {images} images; expected the "
                "images in the first dimension (inside window attention they are not): choose the block around it"
            )
        check_finite(activation, self.copied, f"the activation of layer {self.layer!r}")
        for tensor in float_tensors_of(output):
            check_output(tensor, self.copied)
        if is_empty(output):
            raise empty_output_error(self.owner)

    def _check_unwritten(self, watch: WrittenTensors) -> None:
        """Refuse a model that writes into its parameters: the private copy shares them with the user's model."""
        written = watch.describe_first()
        if written is not None:
            raise ModelError(
                f"the model writes into its own weights while it runs ({written} changed in the forward pass); "
                "expected a model that is the same after each pass: keep such state in a buffer, which is copied"
            )


def independent_output_error(layer: str) -> LayerError:
    """Return the error for a layer that the output does not depend on."""
    return LayerError(
        f"layer {layer!r} runs, but the output does not depend on it, or has no derivative by it (detached, computed "
        "under no_grad, or quantised); choose another layer (shapleycam layers MODEL lists those that matter), or "
        "sampledshapley, which needs no derivative"
    )
