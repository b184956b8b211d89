"""One forward pass: the activation of a layer, the output, and a head that can be run again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.errors import LayerError, ModelError, ReplayError
from shapleycam.trace import plan as plans
from shapleycam.trace.attention import twice_differentiable as math_attention
from shapleycam.trace.calls import Form, activation_in, calls_around, layer_name
from shapleycam.trace.differentiation import Differentiation
from shapleycam.trace.extra import NO_EXTRA, ExtraInputs
from shapleycam.trace.finals import Finals
from shapleycam.trace.graph import depends_on
from shapleycam.trace.isolation import (
    Interceptor,
    WrittenTensors,
    intercepted,
    observed,
    private_copy,
    run,
    undisturbed,
    written_by,
)
from shapleycam.trace.modules import submodule
from shapleycam.trace.nested import is_empty, numbers_of
from shapleycam.trace.repeats import reseeded, same
from shapleycam.trace.replay import Plan, Recorder, Replay
from shapleycam.trace.reproducible import Run, check_repeats
from shapleycam.trace.scores import Reads, Returned, Scores, in_rows, is_of_classes, scores_of

Select: TypeAlias = "Callable[[Any], Any]"


class Trace:
    """What one forward pass left: `activation` (b, ...), a leaf; `output`, a function of it in autograd's graph.

    `layer` is the layer's dotted name, `images` are the network's inputs; `output` is what `select` takes from what
    the model returns. The graph holds only what comes after the layer; `is_differentiable` tells whether there is one
    (not of an output computed under no_grad, or by quantised numbers).
    """

    def __init__(  # noqa: PLR0913  # all that a pass leaves
        self,
        layer: str,
        images: Tensor,
        activation: Tensor,
        returned: Returned,
        replay: Replay,
        select: Select,
        *,
        twice_differentiable: bool,
        is_recorded: bool,
        is_differentiable: bool,
        owner: nn.Module,
    ) -> None:
        self.layer = layer
        self.images = images
        self.activation = activation
        self.output = returned.output
        self.twice_differentiable = twice_differentiable
        self.is_recorded = is_recorded
        self.is_differentiable = is_differentiable
        self.reads: Reads | None = None
        self.scores: Scores | None = None
        self.owner = owner
        self._replay = replay
        self._select = select
        self._returned = returned

    def reading(self, reads: Reads) -> Trace:
        """The same pass with an output that a question can be asked of, and a head that gives such outputs.

        "scores" are of classes, (b, classes, ...) or (b,): the logits where the model returns probabilities, and where
        they cannot be had log p; `scores` of what is returned says which. "numbers" is the model's own output with one
        row an image, "output" the same where it has such rows.

        Raises:
            ModelError: the output has not one row an image, or is a part of a softmax's.
        """
        other = copy(self)
        with torch.inference_mode(mode=False), torch.enable_grad():  # the caller may have none
            other.reads, other.output = reads, in_rows(self._returned.output, len(self.images), "images", reads)
            if reads == "scores" and is_of_classes(other.output):
                other.scores = scores_of(other.output, self._returned, self.activation)
                other.output = other.scores.convert(other.output, self._returned.final)
        return other

    def head(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """The model's (selected) output for each row of activations, by running only what comes after the layer.

        Rows belong to the images of the pass one to one, or all to its only image, or as `samples` (rows,) says.
        The output is differentiable where the activation requires a gradient.

        Raises:
            ReplayError: the pass was not recorded for replay, or the rows do not fit it.
        """
        shape = self.activation.shape[1:]
        if activation.shape[1:] != shape:
            raise ReplayError(
                f"activations of shape {tuple(activation.shape)}; expected (rows, {', '.join(map(str, shape))})"
            )
        return self.head_of_any_size(activation, samples)

    def head_of_any_size(
        self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None
    ) -> Any:
        """As `head`, for activations that may have fewer positions than the image's own, if the head takes them."""
        if not self.is_recorded:
            raise ReplayError("this pass was not recorded for replay; trace the model with replay=True")
        images = len(self.activation)
        rows = len(activation) if samples is None else len(samples)
        if rows != len(activation) or (samples is None and rows != images != 1):
            found = f"{len(activation)} rows" + ("" if samples is None else f" and {rows} samples")
            raise ReplayError(
                f"{found} for a pass of {images} images; expected one row an image, or samples= of each row"
            )
        return self.rerun(activation, samples)

    def rerun_in_float64(self, activation: Float[Tensor, "b *shape"]) -> Any:
        """As `rerun` for the images of the pass, with everything in double precision."""
        copied = private_copy(self.owner, torch.float64)
        extra = self._replay.extra.changed(lambda t: t.double() if t.is_floating_point() else t)
        plan = Plan((), reads_images=True, writes_activation=True, form=self._replay.form)
        replay = Replay(copied, self.layer, plan, {}, self.images.double(), extra)
        return self._read(lambda: replay(activation), activation)

    def rerun(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """As `head`, also of a pass that was not recorded: then the whole model runs again, which is slow."""
        return self._read(lambda: self._replay(activation, samples), activation)

    def _read(self, call: Callable[[], Any], activation: Tensor) -> Any:
        """What a run of the head returns, as the question reads it."""
        finals = Finals() if self.scores is not None and self.scores.needs_finals else None
        with finals or nullcontext():
            output = self._select(call())
        if self.reads is None:
            return output
        with torch.set_grad_enabled(activation.requires_grad):  # as the head itself ran
            rowed = in_rows(output, len(activation), "coalitions", self.reads)
            return rowed if self.scores is None else self.scores.of(rowed, finals)


def whole(output: Any) -> Any:
    """All that a model returns."""
    return output


def trace(
    model: nn.Module,
    images: Float[Tensor, "b *image"],
    layer: str | nn.Module,
    *,
    replay: bool = False,
    twice_differentiable: bool = False,
    select: Select = whole,
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
    finals: Finals
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
    select: Select
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
        finals = Finals()
        with undisturbed(model), observed(model), ExitStack() as rest:
            layer = model.get_submodule(name)
            start = _Start(name, layer, rest, finals, self.twice)
            functions: dict[nn.Module, Interceptor] = {**(recorder.functions if recorder else {})}
            functions[layer] = start
            with (
                intercepted(functions, layer),
                torch.enable_grad(),
            ):  # a view made without could not be written behind the layer
                everything = run(model, self.images, self.extra)
            output = self.select(everything)
            returned = Returned.of(output, everything, finals)
        if len(start.forms) != 1:
            calls_around(model, name, self.images[:1], self.extra.rows(torch.zeros(1, dtype=torch.long)))
            raise LayerError(f"layer {name!r} runs another number of times for other images; choose another layer")
        activation = start.activations[0]
        _check_batch(activation, name, len(self.images))
        check_finite(activation, model, f"the activation of layer {name!r}")
        for tensor in numbers_of(output):
            check_output(tensor, model)
        if is_empty(output):
            raise nothing_returned(self.owner)
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


def nothing_returned(model: nn.Module) -> ModelError:
    """The error of a model that detects nothing, so that there is nothing to explain."""
    return ModelError(
        f"the model ({type(model).__name__}) returns only empty tensors for these images: it detects nothing; lower "
        "its score threshold, or give images in which it detects something"
    )


def check_output(output: Tensor, model: nn.Module) -> None:
    """Refuse NaN and +infinity in an output. A logit of -infinity is that of a class that the model leaves out.

    Raises:
        ModelError: as `check_finite`.
    """
    masked = output.detach() == -torch.inf
    check_finite(output.detach().masked_fill(masked, 0), model, "the output")


def check_finite(tensor: Tensor, model: nn.Module, what: str) -> None:
    """Refuse NaN and infinity, saying where they come from.

    Raises:
        ModelError: naming the images, and a weight that is not finite if there is one.
    """
    if not tensor.numel():
        return
    low, high = tensor.detach().aminmax()
    if bool(torch.isfinite(low) & torch.isfinite(high)):
        return
    rows = tensor.detach().reshape(len(tensor) if tensor.dim() else 1, -1)
    bad = (~torch.isfinite(rows)).any(1).nonzero().flatten().tolist()
    weights = (*model.named_parameters(), *model.named_buffers())
    broken = next((name for name, weight in weights if not torch.isfinite(weight).all()), None)
    cause = (
        f"the weight {broken!r} is not finite: get or train the weights again"
        if broken
        else "the weights are finite: check the preprocessing and the precision of the numbers"
    )
    raise ModelError(f"{what} holds NaN or infinity for image {', '.join(map(str, bad))} of the batch; {cause}")


def _check_batch(activation: Tensor, name: str, images: int) -> None:
    if activation.dim() < 2 or len(activation) != images:
        raise LayerError(
            f"layer {name!r} returns shape {tuple(activation.shape)} for {images} images; expected the images in the "
            "first dimension (inside window attention they are not): choose the block around it"
        )
