"""`OutputReading`: select the explained part of a head's output, and convert it to the form that a utility takes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from shapleycam.errors import ModelError, ShapleyCamError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.tracing.nonlinearities import NonlinearityRecorder
from shapleycam.tracing.score_conversion import ScoreConversion
from shapleycam.tracing.selected_output import UtilityInput, as_rows
from shapleycam.wording import type_and_first_line

OutputSelector: TypeAlias = "Callable[[Any], Any]"
"""A function that takes the explained output from the model's output."""


def whole_output(output: Any) -> Any:
    """Return the model's output unchanged."""
    return output


@dataclass(frozen=True)
class OutputReading:
    """How the output of a layer's head is read.

    Attributes:
        select: takes the explained output from the model's output.
        layer: the layer's dotted name, for messages.
        utility_input: the form that a utility takes; None for the selected output unchanged.
        score_conversion: how class scores are computed from the selected output; None for other outputs.
    """

    select: OutputSelector
    layer: str
    utility_input: UtilityInput | None = None
    score_conversion: ScoreConversion | None = None

    def read(self, run_head: Callable[[], Any], activation: Tensor, rows: int | None = None) -> Any:
        """Run the head, and return its output as the utility reads it, with `rows` rows or as many as the activation.

        Raises:
            ModelError: the user's function raises, or the output has another number of rows.
        """
        conversion = self.score_conversion
        recorder = NonlinearityRecorder() if conversion is not None and conversion.needs_recorder else None
        # The head enters the same context; it is entered here too, because `select` and the conversion also compute.
        with torch.inference_mode(mode=False), torch.set_grad_enabled(activation.requires_grad):
            with recorder or nullcontext():
                output = self._selected_from(run_head())
            if self.utility_input is None:
                return output
            output = as_rows(output, rows or len(activation), "coalitions", self.utility_input)
            return output if conversion is None else conversion.apply(output, recorder)

    def _selected_from(self, output: Any) -> Any:
        """Return what `select` takes from the head's output.

        Raises:
            ModelError: `select` raises; its exception is the cause.
        """
        try:
            return self.select(output)
        except Exception as error:
            if isinstance(error, ShapleyCamError) or is_out_of_memory(error):
                raise
            raise ModelError(
                f"output= raised {type_and_first_line(error)}, when what comes after layer {self.layer!r} was run "
                "again; expected a function that takes the model's output of any number of rows"
            ) from error
