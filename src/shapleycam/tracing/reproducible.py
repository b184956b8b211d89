"""Whether a model gives the same output for the same image: at each run, and whatever images are beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.tracing.agreement import outputs_equal, row_agrees, tensors_agree
from shapleycam.tracing.checks import mark_checked, needs_check


@dataclass(frozen=True)
class PlainRun:
    """The layer's activation and the output of a run without a graph, and whether it drew random numbers."""

    activation: Tensor
    output: Any
    drew_random_numbers: bool


Rerun: TypeAlias = Callable[[int, int], PlainRun]
"""A function that runs the model on the first images of a batch: from their number and a seed to the result."""


def check_reproducible(owner: nn.Module, key: Hashable, activation: Tensor, output: Any, rerun: Rerun) -> None:
    """Check that the first image has the same output alone, with other random numbers, as in the batch.

    The check is made once for a model and a key (layer, form of the batch). `activation` and `output` are those of the
    traced pass over the whole batch; `owner` is the user's model.

    Raises:
        ModelError: the model draws at random in eval mode, or an image's output depends on its batch mates.
    """
    if not needs_check(owner, key):
        return
    images = len(activation)
    alone = rerun(1, 1)
    agrees = tensors_agree(activation[:1], alone.activation) and row_agrees(output, 0, images, alone.output)
    if alone.drew_random_numbers or not agrees:
        # Two runs of the same operations agree to rounding, unless other random numbers show in them.
        first, second = rerun(images, 2), rerun(images, 3)
        if not (outputs_equal(first.activation, second.activation) and outputs_equal(first.output, second.output)):
            raise ModelError(
                "the model gives another output at each run for the same image in eval mode, so that each explanation "
                "would be of another draw; expected the same: make it deterministic (dropout only while self.training, "
                "a fixed generator)"
            )
    if not agrees:
        raise ModelError(
            f"the model gives an image another output alone than in a batch of {images} (batch statistics, dynamic "
            "quantisation); expected outputs that do not depend on batch mates: explain one image at a time"
        )
    mark_checked(owner, key)
