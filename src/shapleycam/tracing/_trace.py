"""What one forward pass left: the activation of a layer, the output, and a head that can be run again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.errors import ReplayError
from shapleycam.tracing.finals import Finals
from shapleycam.tracing.isolation import isolated, private_copy, run
from shapleycam.tracing.replay import Plan, Replay
from shapleycam.tracing.scores import Reads, Returned, Scores, in_rows, is_of_classes, scores_of

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

    def output_of(self, images: Float[Tensor, "rows *image"], samples: Int[Tensor, " rows"]) -> Any:
        """Return the (selected) output of the whole model for changed images, in a pass of its own without a graph.

        `samples` (rows,) says which image of this pass each row was made of: its row of further inputs is used.
        """
        extra = self._replay.extra.rows(samples)
        with isolated(self.owner) as model, torch.no_grad():
            return self._read(lambda: run(model, images, extra), images.detach())

    def _read(self, call: Callable[[], Any], activation: Tensor) -> Any:
        """What a run of the head returns, as the question reads it."""
        finals = Finals() if self.scores is not None and self.scores.needs_finals else None
        with (
            torch.inference_mode(mode=False),
            torch.set_grad_enabled(activation.requires_grad),
        ):  # as the head itself runs
            with finals or nullcontext():
                output = self._select(call())
            if self.reads is None:
                return output
            rowed = in_rows(output, len(activation), "coalitions", self.reads)
            return rowed if self.scores is None else self.scores.of(rowed, finals)


def whole(output: Any) -> Any:
    """All that a model returns."""
    return output
