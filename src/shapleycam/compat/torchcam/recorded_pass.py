"""A forward pass of the user's, as a hook on the model sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.explaining.inputs import Inputs
from shapleycam.tracing.nested import float_tensors_of

_TOLERANCES = {torch.float16: 0.05, torch.bfloat16: 0.1}
"""How far numbers of a reduced precision may be from the model's own, as a share of the largest."""
_TOLERANCE = 5e-3
"""The same of other precisions; TensorFloat-32 is one of them."""


@dataclass(frozen=True)
class RecordedPass:
    """The images of a pass (b, ...), the model's further inputs, and what it returned, with its graph if it has one."""

    images: Tensor
    inputs: Inputs
    output: Any

    @classmethod
    def of_call(cls, arguments: Sequence[Any], keywords: Mapping[str, Any], output: Any) -> RecordedPass:
        """Return the pass of a call of the model; the images are copied, as callers may reuse their memory.

        Raises:
            OptionError: the images are not the first argument, or further ones are given in two ways.
        """
        if not arguments or not isinstance(arguments[0], Tensor):
            given = type(arguments[0]).__name__ if arguments else "no positional argument"
            raise OptionError(
                f"the model was called with {given}; expected the images, a tensor, as its first argument"
            )
        if arguments[1:] and keywords:
            raise OptionError(
                "the model was called with further inputs by position and by name; expected one of the two: give all "
                "inputs after the images by name"
            )
        return cls(arguments[0].detach().clone(), dict(keywords) or tuple(arguments[1:]) or None, output)

    def check_output(self, output: Any) -> None:
        """Refuse to explain another output than that of the pass.

        Raises:
            OptionError: the model, in evaluation mode, returns something else for these images.
        """
        recorded, returned = float_tensors_of(self.output), float_tensors_of(output)
        is_same = len(recorded) == len(returned) and all(map(_is_close, recorded, returned))
        if not is_same:
            raise OptionError(
                "for the images of the last forward pass the model now returns something else than it did; expected "
                "the same: call model.eval() before the pass, and ask before weights or images change"
            )


def _is_close(recorded: Tensor, returned: Tensor) -> bool:
    """Return whether two outputs are the same up to rounding."""
    if recorded.shape != returned.shape:
        return False
    tolerance = _TOLERANCES.get(recorded.dtype, _TOLERANCE)
    first, second = recorded.detach().double(), returned.detach().to(recorded.device).double()
    finite = first[first.isfinite()]  # a class that is left out has -infinity, within which all would be the same
    bound = tolerance * float(finite.abs().amax()) if finite.numel() else 0.0
    return torch.allclose(first, second, rtol=0, atol=bound, equal_nan=True)
