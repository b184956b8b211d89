"""Traced passes: a model is run once, and its graph begins at the layer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.errors import LayerError, ModelError, ReplayError
from shapleycam.tracing import plan as plans
from shapleycam.tracing._trace import OutputSelector, Trace, whole_output
from shapleycam.tracing.attention import twice_differentiable as math_attention
from shapleycam.tracing.calls import Form, activation_in, calls_around, layer_name
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.graph import depends_on
from shapleycam.tracing.isolation import (
    Interceptor,
    WrittenTensors,
    intercepted,
    observed,
    private_copy,
    run,
    undisturbed,
    written_by,
)
from shapleycam.tracing.modules import submodule
from shapleycam.tracing.nested import float_tensors_of, is_empty
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.repeats import reseeded, same
from shapleycam.tracing.replay import Plan, Recorder, Replay
from shapleycam.tracing.reproducible import Run, check_repeats
from shapleycam.tracing.scores import SelectedOutput
from shapleycam.tracing.soundness import check_finite, check_output, empty_output_error


def trace(
    model: nn.Module,
    images: Float[Tensor, "b *image"],
    layer: str | nn.Module,
    *,
    replay: bool = False,
    twice_differentiable: bool = False,
    select: OutputSelector = whole_output,
    extra: ExtraInputs = NO_EXTRA,
) -> Trace:
    """Run the model once and keep what an explanation at `layer` needs.

    Nothing before the layer is differentiated or kept. `select` takes the output that is explained from what the model
    returns. `replay` records what `Trace.head` needs;
    `twice_differentiable` runs attention after the layer by a kernel that has second derivatives; `extra` are further
    inputs of the model.

    Raises:
        LayerError: the layer is unknown, does not run exactly once, returns no single tensor of numbers, or the
            output does not depend on it.
        ModelError: the activation or the output is not finite.
        ReplayError: the head cannot be run on its own and give the model's own output.
    """
    name = layer_name(model, layer)
    images = images.detach().clone() if images.is_inference() else images.detach()
    copied = private_copy(model)
    _check_not_scripted(copied, name)
    passes = _Passes(model, copied, images, extra, name, select, twice=twice_differentiable)
    if not replay:
        return passes.checked(None)
    for _ in range(2):
        traced = passes.checked(plans.plan_for(model, copied, name, images, extra))
        if same(traced.head(traced.activation.detach()), traced.output):
            if traced.is_differentiable or not same(traced.head(_with_holes(traced.activation)), traced.output):
                return traced
            raise _independent(name)
        plans.forget(model)  # what the head reads may depend on the image or have been changed by the user
    raise ReplayError(
        f"layer {name!r}: what comes after it, run on its own, does not give the model's output; "
        "choose the block around this layer (shapleycam layers MODEL), or a method without a path"
    )


@dataclass(frozen=True)
class _Start:
    """Runs in place of the layer in a traced pass: the graph begins at what it returns."""

    name: str
    layer: nn.Module
    rest: ExitStack
    finals: NonlinearityRecorder
    twice: bool
    activations: list[Tensor] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)

    def __call__(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        value = original(*args, **kwargs)
        activation = activation_in(value, self.name)
        self.forms.append(Form.of(value, self.layer))
        if len(self.forms) > 1:
            return value
        if self.twice:
            self.rest.enter_context(math_attention())
        # These modes stay on until the pass ends: entered here, left with `rest`, since only what comes after the layer
        # is differentiated (before it nothing requires a gradient).
        self.rest.enter_context(Differentiation(twice=self.twice))
        self.rest.enter_context(self.finals)
        leaf = activation.detach().requires_grad_()
        self.activations.append(leaf)
        torch.set_grad_enabled(mode=True)  # also where the model runs the layer under no_grad, as a frozen backbone
        return self.forms[0].put(leaf.clone(), self.layer)  # a copy, as what follows may write into it in place


@dataclass(frozen=True)
class _Passes:
    """Traced passes of one private copy over one batch."""

    owner: nn.Module
    model: nn.Module
    images: Tensor
    extra: ExtraInputs
    name: str
    select: OutputSelector
    twice: bool

    def checked(self, plan: Plan | None) -> Trace:
        """One pass whose activation and output are sound; `plan` says what to record of it for replay."""
        watch = written_by(self.model)
        traced = self._pass(plan)
        self._check_written(watch)
        key = ("repeats", self.name, self.images.shape, self.images.dtype, self.images.device)
        check_repeats(self.owner, key, traced.activation.detach(), traced.output, self._again)
        return traced

    def _again(self, count: int, seed: int) -> Run:
        """A plain run of the first images, without a graph, drawn from another seed."""
        activations: list[Tensor] = []

        def keep(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            value = original(*args, **kwargs)
            activations.append(activation_in(value, self.name).detach().clone())
            return value

        model, extra = self.model, self.extra.rows(torch.arange(count))
        layer = model.get_submodule(self.name)
        with undisturbed(model), reseeded(seed) as draws, intercepted({layer: keep}, layer):
            output = self.select(run(model, self.images[:count], extra))
        return Run(activations[0], output, draws.any)

    def _pass(self, plan: Plan | None) -> Trace:
        model, name = self.model, self.name
        recorder = None if plan is None else Recorder(plan, model)
        finals = NonlinearityRecorder()
        with undisturbed(model), observed(model), ExitStack() as rest:
            layer = model.get_submodule(name)
            start = _Start(name, layer, rest, finals, self.twice)
            functions: dict[nn.Module, Interceptor] = {**(recorder.functions if recorder else {})}
            functions[layer] = start
            # Gradients are on for the whole pass: a view made without them could not be written into behind the layer,
            # and `select` may compute.
            with intercepted(functions, layer), torch.enable_grad():
                everything = run(model, self.images, self.extra)
                output = self.select(everything)
            returned = SelectedOutput.of(output, everything, finals)
        if len(start.forms) != 1:
            calls_around(model, name, self.images[:1], self.extra.rows(torch.zeros(1, dtype=torch.long)))
            raise LayerError(f"layer {name!r} runs another number of times for other images; choose another layer")
        activation = start.activations[0]
        _check_batch(activation, name, len(self.images))
        check_finite(activation, model, f"the activation of layer {name!r}")
        for tensor in float_tensors_of(output):
            check_output(tensor, model)
        if is_empty(output):
            raise empty_output_error(self.owner)
        is_differentiable = depends_on(output, activation)
        if plan is None and not is_differentiable:
            raise _independent(name)
        kept = plan or Plan((), reads_images=True, writes_activation=True, form=start.forms[0])
        values = recorder.values if recorder else {}
        replay = Replay(model, name, kept, values, self.images, self.extra)
        return Trace(
            name, self.images, activation, returned, replay, self.select,
            twice_differentiable=self.twice, is_recorded=plan is not None, is_differentiable=is_differentiable,
            owner=self.owner,
        )  # fmt: skip

    def _check_written(self, watch: WrittenTensors) -> None:
        written = watch.first()
        if written is not None:
            raise ModelError(
                f"the model writes into its own weights while it runs ({written} changed in the forward pass); "
                "expected a model that is the same after each pass: keep such state in a buffer, which is copied"
            )


def _with_holes(activation: Tensor) -> Tensor:
    """Another activation: half of its numbers, drawn at random, are zero."""
    kept = torch.rand(activation.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    return activation.detach() * kept.to(activation)


def _independent(layer: str) -> LayerError:
    """The error of a layer that the output does not depend on."""
    return LayerError(
        f"layer {layer!r} runs, but the output does not depend on it, or has no derivative by it (detached, computed "
        "under no_grad, or quantised); choose another layer (shapleycam layers MODEL lists those that matter), or "
        "sampledshapley, which needs no derivative"
    )


def _check_not_scripted(copied: nn.Module, name: str) -> None:
    if submodule(copied, name) is None:
        raise LayerError(
            f"layer {name!r} is inside a TorchScript module, which cannot be run in parts; choose a layer outside it, "
            "or give the Python model that it was made of"
        )


def _check_batch(activation: Tensor, name: str, images: int) -> None:
    if activation.dim() < 2 or len(activation) != images:
        raise LayerError(
            f"layer {name!r} returns shape {tuple(activation.shape)} for {images} images; expected the images in the "
            "first dimension (inside window attention they are not): choose the block around it"
        )
