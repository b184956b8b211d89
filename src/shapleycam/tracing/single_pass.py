"""`SinglePass`: one run of a model in which autograd's graph begins at the layer, or in which there is no graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import LayerError
from shapleycam.tracing._trace import Trace
from shapleycam.tracing.calls import enclosing_calls, rerun_layer_error
from shapleycam.tracing.channels_last import BypassMonitor, MemoryOrder
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.graph import depends_on
from shapleycam.tracing.graph_start import GraphStart
from shapleycam.tracing.input_layer import layer_module
from shapleycam.tracing.interception import Interceptor, intercept_calls
from shapleycam.tracing.isolation import run_context, show_to_user_hooks
from shapleycam.tracing.layer_output import activation_in
from shapleycam.tracing.nested import float_tensors_of, is_empty
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.plan import Plan
from shapleycam.tracing.random_numbers import reseed
from shapleycam.tracing.reduced_precision import Precision, ReducedPass
from shapleycam.tracing.replay import Recorder, Replay
from shapleycam.tracing.reproducible import PlainRun
from shapleycam.tracing.running import run
from shapleycam.tracing.selected_output import SelectedOutput
from shapleycam.tracing.soundness import check_finite, check_output, empty_output_error


@dataclass(frozen=True)
class SinglePass:
    """A run of a model over one batch of images; `run_checked` chooses how it is made, and checks the result.

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

    def run(
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

    def plain_run(self, count: int, seed: int) -> PlainRun:
        """Run the model on the first `count` images without a graph, with the random seed `seed`."""
        return self.plain_run_of_rows(self.images[:count], torch.arange(count, device="cpu"), seed)

    def plain_run_of_rows(self, images: Tensor, samples: Tensor, seed: int = 1) -> PlainRun:
        """Run the model as `plain_run`, on rows that were made from the images whose indices are `samples`."""
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


def independent_output_error(layer: str) -> LayerError:
    """Return the error for a layer that the output does not depend on."""
    return LayerError(
        f"layer {layer!r} runs, but the output does not depend on it, or has no derivative by it (detached, computed "
        "under no_grad, or quantised); choose another layer (shapleycam layers MODEL lists those that matter), or "
        "sampledshapley, which needs no derivative"
    )
