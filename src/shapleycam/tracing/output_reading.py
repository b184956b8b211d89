"""Read the output of a head that runs again: select the part to explain, and convert it for the utility."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from shapleycam.errors import ModelError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.score_conversion import ScoreConversion
from shapleycam.tracing.selected_output import UtilityInput, as_rows
from shapleycam.wording import type_and_first_line

OutputSelector: TypeAlias = "Callable[[Any], Any]"
"""A function that selects the output to explain from what a model returns."""


def whole_output(output: Any) -> Any:
    """Return everything that a model returns."""
    return output


@dataclass(frozen=True)
class OutputReading:
    """How the output of a head is read.

    Attributes:
        select: selects the output to explain from what the model returns.
        layer: the layer's dotted name, for messages.
        utility_input: the form of output that the utility takes; None leaves the selected output as it is.
        score_conversion: how class scores are computed from the selected output; None if it has no class scores.
    """

    select: OutputSelector
    layer: str
    utility_input: UtilityInput | None = None
    score_conversion: ScoreConversion | None = None

    def read(self, run_head: Callable[[], Any], activation: Tensor, rows: int | None = None) -> Any:
        """Run the head, and return its output in the form that the utility reads.

        The output must have `rows` rows; None means as many as the activation has.

        Raises:
            ModelError: the user's function raises, or the output has another number of rows.
        """
        conversion = self.score_conversion
        recorder = NonlinearityRecorder() if conversion is not None and conversion.needs_recorder else None
        # The head enters the same context itself. It is entered here too, because `select` and the conversion compute.
        with torch.inference_mode(mode=False), torch.set_grad_enabled(activation.requires_grad):
            with recorder or nullcontext():
                output = self._selected_from(run_head())
            if self.utility_input is None:
                return output
            output = as_rows(output, rows or len(activation), "coalitions", self.utility_input)
            return output if conversion is None else conversion.apply(output, recorder)

    def _selected_from(self, output: Any) -> Any:
        """Return what the user's function selects from an output whose rows are not those of the traced pass.

        Raises:
            ModelError: the user's function raises; its own exception is the cause.
        """
        with convert_errors_of_function(
            lambda error: ModelError(
                f"output= raised {type_and_first_line(error)}, when what comes after layer {self.layer!r} was run "
                "again; expected a function that takes the model's output of any number of rows"
            )
        ):
            return self.select(output)
