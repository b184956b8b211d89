"""Conversions from a model's output to class scores, with the remarks that inform the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from shapleycam.errors import ModelError
from shapleycam.tracing.node_names import Nonlinearity
from shapleycam.tracing.nonlinearities import NonlinearityCall, NonlinearityRecorder

OutputKind: TypeAlias = Literal["logits", "sigmoid logits", "probabilities", "log-probabilities"]
"""What the numbers of an output are; "sigmoid logits" means that the model also returns the sigmoid of these logits."""

DISPLAY_NAMES = {
    "softmax": "softmax",
    "log_softmax": "log-softmax",
    "sigmoid": "sigmoid",
    "log_sigmoid": "log-sigmoid",
}
INVERTED_REMARK = (
    "the model ends in a {}, and what enters it cannot be had: it is computed back from the probabilities and "
    "explained as the logits; the probabilities shown are the model's own"
)
COMBINED_REMARK = (
    "the model returns probabilities that are combined of several: their log-odds are explained as the logits; the "
    "probabilities shown are the model's own"
)
RECORDED_REMARK = (
    "the model ends in a {}: what enters it is explained as the logits; the probabilities shown are the model's own"
)
LOST_REMARK = (
    "the model returns {}, and the logits behind them cannot be had: what is explained are their logarithms; the "
    "probabilities shown are the model's own"
)


@dataclass(frozen=True)
class ScoreConversion:
    """How class scores are computed from a model's output, one row for each image.

    Attributes:
        output_kind: what the numbers of the output are.
        has_logits: whether the scores are logits, not only log p.
        nonlinearity: the model's last softmax or sigmoid; None if it has none.
        remark: what the user should know; None if there is nothing.
        convert: returns the scores from the output and the recorded call of the nonlinearity.
        needs_recorder: whether `convert` needs the recorded call.
    """

    output_kind: OutputKind = "logits"
    has_logits: bool = True
    nonlinearity: Nonlinearity | None = None
    remark: str | None = None
    convert: Callable[[Tensor, NonlinearityCall | None], Tensor] = lambda output, _: output
    needs_recorder: bool = False

    def apply(self, output: Tensor, recorder: NonlinearityRecorder | None) -> Tensor:
        """Return the class scores of another output of the same model.

        Raises:
            ModelError: this output was not computed by the same last nonlinearity.
        """
        call = recorder.call_of(output) if recorder is not None else None
        if self.needs_recorder and (call is None or call.kind != self.nonlinearity):
            name = DISPLAY_NAMES[self.nonlinearity or "softmax"]
            raise ModelError(
                f"the model ends in a {name} for the images and not for coalitions of them; "
                "expected the same operations for both: give the model without it"
            )
        return self.convert(output, call)


def recorded_logits(output: Tensor, call: NonlinearityCall | None) -> Tensor:
    """Return the input of the last nonlinearity."""
    return output if call is None else call.logits(output)


def recorded_log_odds(output: Tensor, call: NonlinearityCall | None) -> Tensor:
    """Return log p / (1 - p), computed from the input of the last softmax."""
    return output if call is None else call.log_odds(output)


def logits_of_probabilities(output: Tensor, _: NonlinearityCall | None) -> Tensor:
    """Return log p / (1 - p).

    Raises:
        ModelError: p is 0 or 1 up to rounding.
    """
    margin = 64 * torch.finfo(output.dtype).eps
    if bool(((output <= 0) | (output >= 1 - margin)).any()):
        raise _saturated_error(output)
    return output.log() - torch.log1p(-output)


def logits_of_log_probabilities(output: Tensor, _: NonlinearityCall | None) -> Tensor:
    """Return log p / (1 - p) from log p.

    Raises:
        ModelError: 1 - p is mostly rounding.
    """
    margin = 64 * torch.finfo(output.dtype).eps
    if bool((output >= -margin).any()):
        raise _saturated_error(output.exp())
    return output - torch.log(-torch.expm1(output))


def log_of_probabilities(output: Tensor, _: NonlinearityCall | None) -> Tensor:
    """Return log p; the derivative is finite even if other classes have probability 0."""
    is_zero = output <= 0
    return output.masked_fill(is_zero, 1).log().masked_fill(is_zero, -torch.inf)


def wrong_dimension_error(output: Tensor, call: NonlinearityCall) -> ModelError:
    """Return the error for a softmax over the images of the batch."""
    return ModelError(
        f"the model ends in a {DISPLAY_NAMES[call.kind]} over dimension 0 of {tuple(output.shape)}, the images; "
        "expected one over the classes, so that no image depends on the others: mend it (dim=1)"
    )


def partial_result_error(output: Tensor, kind: Nonlinearity) -> ModelError:
    """Return the error for an output that is only a part of a softmax's result."""
    return ModelError(
        f"the model's output of shape {tuple(output.shape)} is a part of what a {DISPLAY_NAMES[kind]} returns, or of "
        "one that runs over another dimension than the classes; expected probabilities (b, classes) that sum to 1 in "
        "each row: give the model without it, or choose its output with output="
    )


def scaled_logarithm_error(output: Tensor) -> ModelError:
    """Return the error for the result of a log-sigmoid that is multiplied by, or added to, a constant."""
    least, most = output.detach().aminmax()
    return ModelError(
        "the model's output is what a log-sigmoid returns, multiplied by a constant or added to one (from "
        f"{float(least):.4g} to {float(most):.4g}); expected logits or log-probabilities: undo this by output=, a "
        "function (lambda o: -o for negative logarithms), or ask of a number itself with utility='value'"
    )


def _saturated_error(probabilities: Tensor) -> ModelError:
    numbers = probabilities.detach().flatten()
    worst = numbers[(numbers - 0.5).abs().argmax()]
    return ModelError(
        f"the model ends in a sigmoid that is saturated (it gives {float(worst):.8g}), so that what entered it cannot "
        "be computed back; give the model without its sigmoid, or utility 'value' for its own output"
    )
