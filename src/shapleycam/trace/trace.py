"""One forward pass: the activation of a layer, the output, and a head that can be run again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from copy import copy
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.errors import LayerError, ModelError, ReplayError
from shapleycam.trace import plan as plans
from shapleycam.trace.attention import twice_differentiable as math_attention
from shapleycam.trace.calls import activation_in, calls_around, layer_name
from shapleycam.trace.convolution import LinearConvolutions
from shapleycam.trace.finals import Finals
from shapleycam.trace.graph import depends_on
from shapleycam.trace.guest import Parts, borrowed, parts_of, patched, run
from shapleycam.trace.nested import is_empty, map_tensors, numbers_of
from shapleycam.trace.replay import Recorder, Replay
from shapleycam.trace.scores import Reads, Returned, Scores, in_rows, is_of_classes, scores_of

Select: TypeAlias = "Callable[[Any], Any]"


class Trace:
    """What one forward pass left: `activation` (b, ...), a leaf; `output`, a function of it in autograd's graph.

    `layer` is the layer's dotted name, `images` are the network's inputs; `output` is what `select` takes from what
    the model returns. The graph holds only what comes after the layer.
    """

    def __init__(
        self,
        layer: str,
        images: Tensor,
        activation: Tensor,
        returned: Returned,
        replay: Replay | None,
        select: Select,
        *,
        twice_differentiable: bool,
    ) -> None:
        self.layer = layer
        self.images = images
        self.activation = activation
        self.output = returned.output
        self.twice_differentiable = twice_differentiable
        self.reads: Reads | None = None
        self.scores: Scores | None = None
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
        other.reads, other.output = reads, in_rows(self._returned.output, len(self.images), "images", reads)
        if reads == "scores" and is_of_classes(other.output):
            with torch.inference_mode(mode=False), torch.enable_grad():  # the caller may have none
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
        if self._replay is None:
            raise ReplayError("this pass was not recorded for replay; trace the model with replay=True")
        images = len(self.activation)
        rows = len(activation) if samples is None else len(samples)
        if rows != len(activation) or (samples is None and rows != images != 1):
            found = f"{len(activation)} rows" + ("" if samples is None else f" and {rows} samples")
            raise ReplayError(
                f"{found} for a pass of {images} images; expected one row an image, or samples= of each row"
            )
        finals = Finals() if self.scores is not None and self.scores.needs_finals else None
        with finals or nullcontext():
            output = self._select(self._replay(activation, samples))
        if self.reads is None:
            return output
        rowed = in_rows(output, rows, "coalitions", self.reads)
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
) -> Trace:
    """Run the model once and keep what an explanation at `layer` needs.

    Nothing before the layer is differentiated or kept. `select` takes the output that is explained from what the model
    returns. `replay` records what `Trace.head` needs;
    `twice_differentiable` runs attention after the layer by a kernel that has second derivatives.

    Raises:
        LayerError: the layer is unknown, does not run exactly once, returns no single tensor of numbers, or the
            output does not depend on it.
        ModelError: the activation or the output is not finite.
        ReplayError: the head cannot be run on its own and give the model's own output.
    """
    name = layer_name(model, layer)
    images = images.clone() if images.is_inference() else images
    parts = parts_of(model)
    with borrowed(model, parts):
        if not replay:
            return _pass(model, parts, images, name, None, select, twice_differentiable=twice_differentiable)
        for _ in range(2):
            plan = plans.plan_for(model, name, images)
            traced = _pass(model, parts, images, name, plan, select, twice_differentiable=twice_differentiable)
            if plans.same(traced.head(traced.activation.detach()), traced.output):
                return traced
            plans.forget(model)  # what the head reads may depend on the image or have been changed by the user
    raise ReplayError(
        f"layer {name!r}: what comes after it, run on its own, does not give the model's output; "
        "choose the block around this layer (shapleycam layers MODEL), or a method without a path"
    )


class _Start:
    """The layer's forward in a traced pass: the graph begins at what it returns."""

    def __init__(self, layer: nn.Module, name: str, rest: ExitStack, finals: Finals, *, twice: bool) -> None:
        self.activation: Tensor | None = None
        self.again = False
        self._forward, self._name, self._rest, self._twice = layer.forward, name, rest, twice
        self._finals = finals

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = self._forward(*args, **kwargs)
        if self.activation is not None:
            self.again = True
            return value
        activation = activation_in(value, self._name)
        self._rest.enter_context(self._finals)
        if self._twice:
            self._rest.enter_context(math_attention())
            self._rest.enter_context(LinearConvolutions())
        self.activation = leaf = activation.detach().requires_grad_()
        torch.set_grad_enabled(mode=True)  # until `borrowed` ends
        return map_tensors(lambda _: leaf.clone(), value)  # what follows may write into it in place


def _pass(
    model: nn.Module,
    parts: Parts,
    images: Tensor,
    name: str,
    plan: plans.Plan | None,
    select: Select,
    *,
    twice_differentiable: bool,
) -> Trace:
    layer = model.get_submodule(name)
    recorder = None if plan is None else Recorder(plan, model)
    finals = Finals()
    with ExitStack() as rest, torch.no_grad():
        start = _Start(layer, name, rest, finals, twice=twice_differentiable)
        with patched({**(recorder.forwards() if recorder else {}), layer: start}):
            everything = run(model, images)
        output = select(everything)
    returned = Returned.of(output, everything, finals)
    if start.activation is None or start.again:
        calls_around(model, name, images[:1])
        raise LayerError(f"layer {name!r} runs another number of times for other images; choose another layer")
    _check_batch(start.activation, name, len(images))
    check_finite(start.activation, model, f"the activation of layer {name!r}")
    for tensor in numbers_of(output):
        check_output(tensor, model)
    if not depends_on(output, start.activation):
        if is_empty(output):
            raise nothing_returned(model)
        raise LayerError(
            f"layer {name!r} runs, but the output does not depend on it, or is cut off from it (detached, or "
            "computed under no_grad); choose another layer (shapleycam layers MODEL lists those that matter)"
        )
    replay = None
    if recorder is not None and plan is not None:
        replay = Replay(model, layer, plan, recorder.values, images, parts)
    return Trace(
        name,
        images,
        start.activation,
        returned,
        replay,
        select,
        twice_differentiable=twice_differentiable,
    )


def nothing_returned(model: nn.Module) -> ModelError:
    """The error of a model that detects nothing, so that there is nothing to explain."""
    return ModelError(
        f"the model ({type(model).__name__}) returns only empty tensors for these images: it detects nothing; lower its "
        "score threshold, or give images in which it detects something"
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
