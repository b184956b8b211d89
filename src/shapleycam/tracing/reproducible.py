"""Whether a model gives the same output for the same image: at each run, and whatever images are beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.tracing.agreement import outputs_equal, row_agrees, tensors_agree
from shapleycam.tracing.checks import mark_checked, needs_check
from shapleycam.tracing.interrupts import has_interrupt


@dataclass(frozen=True)
class PlainRun:
    """The layer's activation and the output of a run without a graph, and whether it drew random numbers."""

    activation: Tensor
    output: Any
    drew_random_numbers: bool


Rerun: TypeAlias = Callable[[int, int], PlainRun]
"""A function that runs the model on the first images of a batch: from their number and a seed to the result."""
RunRows: TypeAlias = Callable[[Tensor, Tensor], PlainRun]
"""A function that runs the model on rows of images, from these and the index of the image that each was made of."""
FACTORS = (-1.0, 0.0, 3.0)
"""What a row is multiplied by to have others beside it: conditions of a batch, or of its first row, are other there."""


def check_reproducible(
    owner: nn.Module,
    key: Hashable,
    activation: Tensor,
    output: Any,
    rerun: Rerun,
    images: Tensor,
    run_rows: RunRows,
) -> None:
    """Check that the first image has the same output alone, with other random numbers, as in the batch.

    Of several `images` it is also tried between others: the batch's last, and changed ones. The check is made once for
    a model and a key (layer, form of the batch). `activation` and `output` are those of the traced pass over the whole
    batch; `owner` is the user's model.

    Raises:
        ModelError: the model draws at random in eval mode, or an image's output depends on its batch mates.
    """
    if not needs_check(owner, key):
        return
    count = len(activation)
    alone = rerun(1, 1)
    agrees = tensors_agree(activation[:1], alone.activation) and row_agrees(output, 0, count, alone.output)
    if alone.drew_random_numbers or not agrees:
        # Two runs of the same operations agree to rounding, unless other random numbers show in them.
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
    """Return whether the first image has the output that it has alone also as the second of three rows.

    A condition such as `if x[0].mean() > 0` is of the first row, and right for the first image of any batch. Rows that
    the model does not take are not tried.
    """
    first, last = images[:1], len(images) - 1
    others = [(images[-1:], last), *((factor * first, 0) for factor in FACTORS if first.is_floating_point())]
    for other, index in others:
        handled = sys.exception()
        try:
            together = run_rows(torch.cat([other, first, other]), torch.tensor([index, 0, index], device="cpu"))
        except Exception as error:  # whatever a model raises for images that nobody made
            if has_interrupt(error, handled):
                raise
            continue
        is_row = len(together.activation) == 3
        if is_row and not tensors_agree(together.activation[1:2], alone.activation):
            return False
        if not row_agrees(together.output, 1, 3, alone.output):
            return False
    return True
