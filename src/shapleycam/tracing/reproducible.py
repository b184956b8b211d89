"""Check that a model gives the same output for an image in every run, whatever other images are in the batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.tracing.agreement import outputs_equal, row_agrees, tensors_agree
from shapleycam.tracing.checks import mark_checked, needs_check
from shapleycam.tracing.interrupts import result_or_none


@dataclass(frozen=True)
class PlainRun:
    """Result of a run without a graph: the layer's activation, the output, and whether random numbers were drawn."""

    activation: Tensor
    output: Any
    drew_random_numbers: bool


Rerun: TypeAlias = Callable[[int, int], PlainRun]
"""A function that runs the model on the first images of a batch; its arguments are their number and a seed."""
RunRows: TypeAlias = Callable[[Tensor, Tensor], PlainRun]
"""A function that runs the model on rows; its arguments are the rows and the index of the image of each row."""
FACTORS = (-1.0, 0.0, 3.0)
"""What a row is multiplied by to make other rows for a batch: a condition that the model computes from the whole batch,
or from its first row, then has another result."""


def check_reproducible(
    owner: nn.Module,
    key: Hashable,
    activation: Tensor,
    output: Any,
    rerun: Rerun,
    images: Tensor,
    run_rows: RunRows,
) -> None:
    """Check that the first image alone, with other random numbers, has the same output as in the batch.

    If there are several images, the first image is also run between two others: the last image, or changed images.

    Args:
        owner: the user's model.
        key: identifies the layer and the form of the batch; the check is made once for each key.
        activation: the activation of the traced pass over the whole batch.
        output: the output of that pass.
        rerun: runs the model on the first images of the batch.
        images: the batch.
        run_rows: runs the model on rows made from the images.

    Raises:
        ModelError: the model draws random numbers in eval mode, or an image's output depends on the other images.
    """
    if not needs_check(owner, key):
        return
    count = len(activation)
    alone = rerun(1, 1)
    agrees = tensors_agree(activation[:1], alone.activation) and row_agrees(output, 0, count, alone.output)
    if alone.drew_random_numbers or not agrees:
        # Two runs of the same operations agree up to rounding, unless their random numbers make a difference.
        first, second = rerun(count, 2), rerun(count, 3)
        if not (outputs_equal(first.activation, second.activation) and outputs_equal(first.output, second.output)):
            raise ModelError(
                "the model gives another output at each run for the same image in eval mode, so that each explanation "
                "would be of another draw; expected the same: make it deterministic (dropout only while self.training, "
                "a fixed generator)"
            )
    if count > 1 and agrees and not alone.drew_random_numbers:
        agrees = _is_same_beside_others(images, alone, run_rows)
    if not agrees:
        raise ModelError(
            f"the model gives an image another output alone than in a batch of {count} (batch statistics, dynamic "
            "quantisation, a condition of its first row); expected outputs that do not depend on batch mates: explain "
            "one image at a time"
        )
    mark_checked(owner, key)


def _is_same_beside_others(images: Tensor, alone: PlainRun, run_rows: RunRows) -> bool:
    """Return whether the first image has the same output alone and as the second of three rows.

    The second row, because a condition on the first row, such as `if x[0].mean() > 0`, is always right for the image in
    the first row. Rows for which the model raises are left out.
    """
    first, last = images[:1], len(images) - 1
    others = [(images[-1:], last), *((factor * first, 0) for factor in FACTORS if first.is_floating_point())]
    for other, index in others:
        rows, samples = torch.cat([other, first, other]), torch.tensor([index, 0, index], device="cpu")
        together = result_or_none(partial(run_rows, rows, samples))
        if together is None:
            continue
        is_row = len(together.activation) == 3
        if is_row and not tensors_agree(together.activation[1:2], alone.activation):
            return False
        if not row_agrees(together.output, 1, 3, alone.output):
            return False
    return True
