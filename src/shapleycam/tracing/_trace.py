"""The result of one forward pass: the activation of a layer, the output, and a head that can be run again."""

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
        activation: what the layer returned, (b, ...): a leaf of autograd's graph.
        output: the model's output, or the part of it that `select` returns. Its graph begins at `activation` and
            holds only what comes after the layer.
        is_differentiable: whether `output` has such a graph. An output computed under no_grad or with quantised
            numbers has none.
        twice_differentiable: whether attention after the layer ran with a kernel that has second derivatives.
        is_recorded: whether `head` can be run.
        owner: the user's model.
        precision: the precision before the layer: "full" (the model's own) or "bfloat16".

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

    def __init__(  # noqa: PLR0913  # all that a pass leaves
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
        """Return the function that selects the output to explain from what the model returns."""
        return self._reading.select

    @property
    def utility_input(self) -> UtilityInput | None:
        """Return the form in which the output is read, set by `read_as`; None before that."""
        return self._reading.utility_input

    @property
    def score_conversion(self) -> ScoreConversion | None:
        """Return how class scores are computed from the model's output, set by `read_as("scores")`."""
        return self._reading.score_conversion

    @property
    def extra(self) -> ExtraInputs:
        """Return the further inputs of the model."""
        return self._replay.extra

    @property
    def is_at_input(self) -> bool:
        """Return whether the activation is the model's input, and the head the whole model."""
        return is_input(self.owner, self.layer)

    @property
    def reads_activation_alone(self) -> bool:
        """Return whether the activation is all that the head reads: no images, recorded values or code of the user's.

        This is known only for passes that were recorded for replay; for other passes it is False.
        """
        return self.is_recorded and not self.is_read_by_user_code and self._replay.reads_activation_alone

    @property
    def is_read_by_user_code(self) -> bool:
        """Return whether the user's own function selects the output, or the user gave further inputs."""
        select = getattr(self.select, "func", self.select)  # the function inside a functools.partial
        is_from_library = str(getattr(select, "__module__", "")).startswith("shapleycam.")
        return not is_from_library or bool(self.extra.positional or self.extra.keywords)

    def read_as(self, utility_input: UtilityInput) -> Trace:
        """Return the same pass with an output that a utility can read, and a head whose outputs have the same form.

        Args:
            utility_input: the form of the output.
                "scores": class scores, (b, classes, ...) or (b,). If the model returns probabilities, these are the
                logits behind them, or log p if the logits are not available; `score_conversion` says which.
                "numbers": the model's own output, with one row for each image.
                "output": the same if the output has such rows, otherwise the model's own output as it is.

        Raises:
            ModelError: the output does not have one row for each image, or is a part of a softmax's result.
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
        """Return the model's (selected) output for each row of activations; run only what comes after the layer.

        The output is differentiable if the activation requires a gradient.

        Args:
            activation: one activation for each row.
            samples: the index of the image that each row belongs to. Without it there is one row for each image of the
                pass, or the pass has a single image, which all rows belong to.

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
            ModelError: the head does not take this number of positions.
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
        """Return the output for `rows` rows of one image, if an operation in the head makes them from one activation.

        Raises:
            ReplayError: the pass was not recorded for replay.
            ModelError: the output does not have `rows` rows.
        """
        if not self.is_recorded:
            raise ReplayError("this pass was not recorded for replay; trace the model with replay=True")
        sample = torch.tensor([image], device=activation.device)
        return self._reading.read(lambda: self._replay(activation, sample), activation, rows)

    def rerun(self, activation: Float[Tensor, "rows *shape"], samples: Int[Tensor, " rows"] | None = None) -> Any:
        """Return the same as `head`, but accept a pass that was not recorded: then the whole model runs again."""
        return self._reading.read(lambda: self._replay(activation, samples), activation)

    def rerun_in_float64(self, activation: Float[Tensor, "b *shape"]) -> Any:
        """Return the same as `rerun` for the images of the pass, computed in float64 throughout."""
        copied = private_copy(self.owner, torch.float64)
        extra = self._replay.extra.map(lambda t: t.double() if t.is_floating_point() else t)
        plan = Plan.without_steps(self._replay.layer_output)
        replay = Replay(copied, self.layer, plan, {}, self.images.double(), extra)
        return self._reading.read(lambda: replay(activation), activation)

    def output_of(self, images: Float[Tensor, "rows *image"], samples: Int[Tensor, " rows"]) -> Any:
        """Return the (selected) output of the whole model for changed images, in a new pass without a graph.

        `samples` (rows,) is the index of the image that each row was made from; the row gets that image's further
        inputs.
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
        """Return the (selected) output of the whole model for the images of the pass, in a graph that begins at them.

        Attention is computed by matrix products and a softmax, not by a fused kernel.

        Args:
            images: the images of the pass, or rows of them.
            samples: the index of the image that each row belongs to; None if the rows are all images of the pass.
            observer: a context in which the model runs.
        """
        extra = self.extra if samples is None else self.extra.rows(samples)

        def run_observed() -> Any:
            with Differentiation(twice=False), observer or nullcontext():
                return run(copied, images, extra)

        with isolated_copy(self.owner) as copied, math_attention(), without_fast_path():
            return self._reading.read(run_observed, images)
