"""`SelectedOutput`: the explained part of the output of one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import Tensor

from shapleycam.models.outputs import check_rows
from shapleycam.tracing.nested import float_tensors_of
from shapleycam.tracing.nonlinearities import NonlinearityCall, NonlinearityRecorder

UtilityInput: TypeAlias = Literal["scores", "numbers", "output"]
"""What a utility is computed from: class scores, the output with one row for each image, or the output unchanged."""


@dataclass(frozen=True)
class SelectedOutput:
    """The explained part of the output of one pass.

    Attributes:
        output: the selected output.
        nonlinearity_call: the recorded softmax or sigmoid that returned it; None if there is none.
        beside: all tensors of the same shape that the model returned.
    """

    output: Any
    nonlinearity_call: NonlinearityCall | None
    beside: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, output: Any, everything: Any, recorder: NonlinearityRecorder) -> SelectedOutput:
        """Return the selected output of a pass that returned `everything`."""
        tensors = float_tensors_of(everything) if isinstance(output, Tensor) else []
        beside = tuple(tensor.detach() for tensor in tensors if tensor.shape == output.shape)
        return cls(output, recorder.call_of(output), beside)


def has_classes(output: Any) -> bool:
    """Return whether an output may have classes: (b,) for one logit, (b, classes), or (b, classes, h, w) for pixels."""
    return isinstance(output, Tensor) and output.dim() in {1, 2, 4} and output.is_floating_point()


def as_rows(output: Any, rows: int, noun: str, utility_input: UtilityInput) -> Any:
    """Return the output with one row for each of `rows` images or coalitions (`noun` is the word for the message).

    For utility input "output" an output without such rows is returned unchanged.

    Raises:
        ModelError: it has another number of rows.
    """
    if not isinstance(output, Tensor):
        return output
    may_be_other = output.dim() > 1 if rows == 1 else output.dim() > 0 and len(output) > 1
    return output if utility_input == "output" and may_be_other else check_rows(output, rows, noun)
