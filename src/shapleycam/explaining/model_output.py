"""The model's output for images, or the class scores in it, without an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.explaining.inputs import Batch
from shapleycam.tracing.changed_images import run_as_at_layers
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.tracing.reduced_precision import Precision
from shapleycam.tracing.running import run
from shapleycam.tracing.scores import identify_scores
from shapleycam.tracing.selected_output import SelectedOutput, as_rows, has_classes
from shapleycam.utilities import Utility


def selected_output(
    model: nn.Module,
    batch: Batch,
    select: OutputSelector,
    utility: Utility,
    layers: Sequence[str] = (),
    precision: Precision = "full",
) -> Any:
    """Return the part of the model's output that `select` takes, with one row for each image.

    The pass runs in the same way as passes that are traced at `layers`, so that the same images give the same output.

    Raises:
        ModelError: the output does not have one row for each image.
    """
    with isolated_copy(model) as copied:
        output = select(run_as_at_layers(model, copied, batch.images, batch.extra, layers, precision))
    return as_rows(output, len(batch.images), "images", "output" if utility.reads == "output" else "numbers")


def class_scores(
    model: nn.Module, batch: Batch, select: OutputSelector, utility: Utility, labels: Sequence[str] | None
) -> Float[Tensor, "b classes"] | None:
    """Return the scores of the utility's classes; None for an output without classes.

    Raises:
        ModelError: the output does not have one row for each image.
    """
    if utility.reads != "scores":
        return utility.scores(selected_output(model, batch, select, utility), labels)
    with isolated_copy(model) as copied:
        # Only an autograd graph shows how to get logits from probabilities. It is recorded for the first image.
        with torch.enable_grad(), NonlinearityRecorder() as recorder:
            leaf = batch.first.images.clone().requires_grad_()
            first = as_rows(select(run(copied, leaf, batch.first.extra)), 1, "images", "scores")
            returned = SelectedOutput.of(first, None, recorder)
            conversion = identify_scores(first, returned, leaf) if has_classes(first) else None
        with NonlinearityRecorder() as recorder:
            rows = as_rows(select(run(copied, batch.images, batch.extra)), len(batch.images), "images", "scores")
            return utility.scores(rows if conversion is None else conversion.apply(rows, recorder), labels)
