"""`Trace`: the result of one forward pass, with a layer's activation, the output, and a head that can run again."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapleycam.errors import ReplayError
from shapleycam.tracing.attention import math_attention, without_fast_path
from shapleycam.tracing.changed_images import run_as_traced
from shapleycam.tracing.channels_last import MemoryOrder
from shapleycam.tracing.differentiation import Differentiation
from shapleycam.tracing.extra import ExtraInputs
from shapleycam.tracing.input_layer import is_input
from shapleycam.tracing.isolation import isolated_copy, private_copy
from shapleycam.tracing.output_reading import OutputReading, OutputSelector
from shapleycam.tracing.plan import Plan
from shapleycam.tracing.reduced_precision import Precision
from shapleycam.tracing.replay import Replay
from shapleycam.tracing.running import run
from shapleycam.tracing.score_conversion import ScoreConversion
from shapleycam.tracing.scores import identify_scores
from shapleycam.tracing.selected_output import SelectedOutput, UtilityInput, as_rows, has_classes


class Trace:
    """One forward pass of a model: a layer's activation, the output, and the head as a function.

    Made by `shapleycam.trace`.

    Attributes:
        layer: the layer's dotted name.
        images: the model's input, (b, ...).
        activation: the layer's output, (b, ...), which is a leaf of autograd's graph.
        output: the part of the model's output that `select` takes, as a function of `activation` in the graph. The
            graph contains only the head.
        is_differentiable: whether there is such a graph (not for an output that is quantised or computed under
            no_grad).
        twice_differentiable: whether attention in the head ran by a kernel with second derivatives.
        is_recorded: whether `head` can run.
        owner: the user's model.
        precision: the precision of the layers before the explained one: "full" (the model's own), or "bfloat16".

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam import trace
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
        >>> traced = trace(model, torch.rand(1, 3, 8, 8), "0", replay=True)
        >>> (gradient,) = torch.autograd.grad(traced.output[0, 1], traced.activation)
        >>> tuple(gradient.shape)
        (1, 4, 6, 6)
        >>> torch.allclose(traced.head(traced.activation), traced.output)
        True
    """

    def __init__(  # noqa: PLR0913  # all results of a pass
        self,
        layer: str,
        images: Tensor,
        activation: Tensor,
        selected: SelectedOutput,
        replay: Replay,
        select: OutputSelector,
        *,
        twice_differentiable: bool,
        is_recorded: bool,
        is_differentiable: bool,
        owner: nn.Module,
        order: MemoryOrder | None = None,
        precision: Precision = "full",
    ) -> None:
        self.layer = layer
        self.images = images
        self.activation = activation
        self.output = selected.output
        self.twice_differentiable = twice_differentiable
        self.is_recorded = is_recorded
        self.is_differentiable = is_differentiable
        self.owner = owner
        self.precision: Precision = precision
        self._replay = replay
        self._reading = OutputReading(select, layer)
        self._selected = selected
        self._order = order

    @property
    def select(self) -> OutputSelector:
        """Return the function that takes the explained output from the model's output."""
        return self._reading.select

    @property
    def utility_input(self) -> UtilityInput | None:
        """Return the form in which the output is read, after `read_as`."""
        return self._reading.utility_input

    @property
    def score_conversion(self) -> ScoreConversion | None:
        """Return how class scores are computed from the model's output, after `read_as("scores")`."""
        return self._reading.score_conversion

    @property
    def extra(self) -> ExtraInputs:
        """Return the further inputs of the model."""
        return self._replay.extra

    @property
    def is_at_input(self) -> bool:
        """Return whether the layer is the model's input, so that the head is the whole model."""
        return is_input(self.owner, self.layer)

    @property
    def reads_activation_alone(self) -> bool:
        """Return whether the head depends on the images only through the activation, and runs no user code.

        It is False for passes that were not recorded for replay, for which this is not known.
        """
        return self.is_recorded and not self.is_read_by_user_code and self._replay.reads_activation_alone

    @property
    def is_read_by_user_code(self) -> bool:
        """Return whether a user's function selects the output, or the user gave further inputs."""
        select = getattr(self.select, "func", self.select)  # the function inside a partial
        is_own = str(getattr(select, "__module__", "")).startswith("shapleycam.")
        return not is_own or bool(self.extra.positional or self.extra.keywords)

    def read_as(self, utility_input: UtilityInput) -> Trace:
        """Return the same pass with an output from which a utility can be computed, and a head with such outputs.

        "scores" are scores of classes, (b, classes, ...) or (b,). If the model returns probabilities, they are the
        logits, or log p if the logits cannot be restored; `score_conversion` of the result says which. "numbers" is the
        model's own output, with one row for each image. "output" is the same, but need not have such rows.

        Raises:
            ModelError: the output does not have one row for each image, or is a part of the result of a softmax.
        """
        traced: Trace = copy(self)
        with torch.inference_mode(mode=False), torch.enable_grad():  # the caller may have switched gradients off
            output = as_rows(self._selected.output, len(self.images), "images", utility_input)
            conversion = None
            if utility_input == "scores" and has_classes(output):
                conversion = identify_scores(output, self._selected, self.activation)
                output = conversion.convert(output, self._selected.nonlinearity_call)
            traced.output = output
            traced._reading = replace(self._reading, utility_input=utility_input, score_conversion=conversion)
        return traced

    def head(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """Return the model's (selected) output for each row of activations, by running only the head.

        `samples` (rows,) are the indices of the rows' images. Without it there is one row for each image, or any number
        of rows for a single image. The output is differentiable if the activation requires a gradient.

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
        """Return the same as `head`, for activations that may have fewer positions than those of the pass.

        Raises:
            ReplayError: as `head`.
            ModelError: the head does not accept this number of positions.
        """
        if not self.is_recorded:
            raise ReplayError("this pass was not recorded for replay; trace the model with replay=True")
        images = len(self.activation)
        rows = len(activation) if samples is None else len(samples)
        if rows != len(activation) or (samples is None and rows != images != 1):
            description = f"{len(activation)} rows" + ("" if samples is None else f" and {rows} samples")
            raise ReplayError(
                f"{description} for a pass of {images} images; expected one row an image, or samples= of each row"
            )
        return self.rerun(activation, samples)

    def head_of_one_row(self, activation: Float[Tensor, "1 *shape"], image: int, rows: int) -> Any:
        """Return `rows` rows of output for one image, if the caller expands the single row inside the head to `rows`.

        Raises:
            ReplayError: the pass was not recorded for replay.
            ModelError: the output has another number of rows.
        """
        if not self.is_recorded:
            raise ReplayError("this pass was not recorded for replay; trace the model with replay=True")
        sample = torch.tensor([image], device=activation.device)
        return self._reading.read(lambda: self._replay(activation, sample), activation, rows)

    def rerun(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """Return the same as `head`, also for a pass that was not recorded: then the whole model runs again."""
        return self._reading.read(lambda: self._replay(activation, samples), activation)

    def rerun_in_float64(self, activation: Float[Tensor, "b *shape"]) -> Any:
        """Return the same as `rerun` for the images of the pass, with the whole model in float64."""
        copied = private_copy(self.owner, torch.float64)
        extra = self._replay.extra.map(lambda t: t.double() if t.is_floating_point() else t)
        plan = Plan.without_steps(self._replay.layer_output)
        replay = Replay(copied, self.layer, plan, {}, self.images.double(), extra)
        return self._reading.read(lambda: replay(activation), activation)

    def output_of(self, images: Float[Tensor, "rows *image"], samples: Int[Tensor, " rows"]) -> Any:
        """Return the (selected) output of the whole model for changed images, from a new pass without a graph.

        `samples` (rows,) are the indices of the images from which the rows were made; the rows get the further inputs
        of these images.
        """
        extra = self._replay.extra.rows(samples)
        with isolated_copy(self.owner) as copied, torch.no_grad():
            return self._reading.read(
                lambda: run_as_traced(self.owner, copied, images, extra, self.layer, self._order, self.precision),
                images.detach(),
            )

    def output_from_images(
        self,
        images: Float[Tensor, "rows *image"],
        samples: Int[Tensor, " rows"] | None = None,
        observer: AbstractContextManager[object] | None = None,
    ) -> Any:
        """Return the (selected) output of the whole model for the pass's own images, with a graph that begins at them.

        `samples` (rows,) are the indices of the rows' images, None for all images; `observer` is a context in which the
        model runs. Attention is computed as matrix products and a softmax.
        """
        extra = self.extra if samples is None else self.extra.rows(samples)

        def run_observed() -> Any:
            with Differentiation(twice=False), observer or nullcontext():
                return run(copied, images, extra)

        with isolated_copy(self.owner) as copied, math_attention(), without_fast_path():
            return self._reading.read(run_observed, images)
