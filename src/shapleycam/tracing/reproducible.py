"""Whether a model gives the same for the same image: at each run, and whatever images are beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.tracing.checks import mark_checked, needs_check
from shapleycam.tracing.repeats import close, row_of, same


@dataclass(frozen=True)
class Run:
    """The layer's activation and the output of a plain run, and whether it drew random numbers."""

    activation: Tensor
    output: Any
    drew: bool


Again: TypeAlias = Callable[[int, int], Run]
"""From how many of the images to run, and a seed, to what comes of it."""


def check_repeats(owner: nn.Module, key: Hashable, activation: Tensor, output: Any, again: Again) -> None:
    """Run the first image alone, with other random numbers, once for a model and a key (layer, form of the batch).

    `activation` and `output` are what the traced pass of the whole batch gave; `owner` is the user's model.

    Raises:
        ModelError: the model draws at random in eval mode, or an image's output depends on its batch mates.
    """
    if not needs_check(owner, key):
        return
    images = len(activation)
    alone = again(1, 1)
    repeated = close(activation[:1], alone.activation) and row_of(output, 0, images, alone.output)
    if alone.drew or not repeated:  # the same operations twice agree to rounding, unless another draw shows in them
        one, two = again(images, 2), again(images, 3)
        if not (same(one.activation, two.activation) and same(one.output, two.output)):
            raise ModelError(
                "the model gives another output at each run for the same image in eval mode, so that each explanation "
                "would be of another draw; expected the same: make it deterministic (dropout only while self.training, "
                "a fixed generator)"
            )
    if not repeated:
        raise ModelError(
            f"the model gives an image another output alone than in a batch of {images} (batch statistics, dynamic "
            "quantisation); expected outputs that do not depend on batch mates: explain one image at a time"
        )
    mark_checked(owner, key)
