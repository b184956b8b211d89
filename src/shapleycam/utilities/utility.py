"""The class `Utility`: a function of the model's output and the target class, with one value for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.precision import widened
from shapleycam.tracing.nested import is_empty
from shapleycam.tracing.selected_output import UtilityInput

Function: TypeAlias = "Callable[..., Tensor]"
Labels: TypeAlias = "Sequence[str] | None"


def as_logits(output: Float[Tensor, "b *classes"]) -> Float[Tensor, "b classes"]:
    """Return the class scores (b, classes); a single logit z, (b,) or (b, 1), becomes two: -z (no) and z (yes).

    Raises:
        TargetError: the output is not a tensor with one or two dimensions.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import as_logits
        >>> as_logits(torch.tensor([2.0]))
        tensor([[-2.,  2.]])
    """
    if not isinstance(output, torch.Tensor) or output.dim() not in {1, 2}:
        shape = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else f"type {type(output).__name__}"
        raise TargetError(
            f"the model's output has {shape}; expected logits (b, classes): choose them with output=, or ask of a "
            "place with utility=shapleycam.utilities.inside(mask) (segmentation) or box() (detection), or give a "
            "function of yours"
        )
    z = output if output.dim() == 2 else output[:, None]
    return torch.cat([-z, z], 1) if z.shape[1] == 1 else z


def logits_or_none(output: Any, _: Labels = None) -> Tensor | None:
    """Return the class scores; None if the output is not a tensor with one or two dimensions."""
    return as_logits(output) if isinstance(output, torch.Tensor) and output.dim() in {1, 2} else None


def _rows(output: Any, count: int) -> Sequence[Any]:
    """Return the outputs of the images if the output is a list of them; otherwise a list of the whole output."""
    return output if isinstance(output, (list, tuple)) and len(output) == count else [output]


@dataclass(frozen=True, eq=False)
class Utility:
    """A named utility: what is explained, as one number for each image.

    Attributes:
        name: the name in results and messages.
        function: `function(output, target)` returns (b,); with image data it is `function(output, target, data)`.
        formula: the formula as text.
        summary: one line that describes it to users.
        scores: `scores(output, labels)` returns the scores (b, n) of the classes that a target chooses from; None if
            there are no classes.
        predicts: whether the class with the largest score is the predicted class.
        raw: whether the function gets everything that the model returns, instead of the output that is selected.
        reads: the form of the output that the function gets.
            "scores": class scores; these are logits even if the model returns probabilities (without logits they are
            log p, if `needs_logits` is False).
            "numbers": the output with one row for each image.
            "output": the model's own output.
        needs_logits: whether the function needs logits, so that log p is not enough.
        multi_label: whether several classes may be present at once.
        log_softmax_terms: (a, b) if the utility is a · z_c + b · log softmax(z)_c for class scores z; otherwise None.
        image_data: (b or 1, ...), data for each image, the third argument of the function: a mask, an embedding.
        make_image_data: `make_image_data(output, target, labels)` returns the data, computed from the output on the
            whole image; they are the same for all coalitions.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import UTILITIES
        >>> logits, target = torch.tensor([[0.0, 2.0]]), torch.tensor([1])
        >>> UTILITIES["logit"](logits, target), UTILITIES["rest"](logits, target)
        (tensor([2.]), tensor([1.8731]))
    """

    name: str
    function: Function
    formula: str
    summary: str
    scores: Callable[[Any, Labels], Tensor | None] = logits_or_none
    predicts: bool = True
    raw: bool = False
    reads: UtilityInput = "output"
    needs_logits: bool = False
    multi_label: bool = False
    log_softmax_terms: tuple[float, float] | None = None
    image_data: Tensor | None = None
    make_image_data: Callable[[Any, Tensor, Labels], Tensor] | None = None

    def __call__(
        self, output: Any, target: Int[Tensor, " b"], samples: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, " b"]:
        """Return the utility of each row, in float32 at least.

        Args:
            output: the output, one row for each coalition or image.
            target: the class of each row.
            samples: the index of the image that each row belongs to; None if the rows are the images.

        Raises:
            OptionError: the function does not return one number for each row.
            TargetError: the function raised, and the model detects nothing in a row.
        """
        precise = widened(output) if isinstance(output, torch.Tensor) else output
        data = self._data(samples)
        with convert_errors_of_function(lambda error: self._error_of_empty_rows(error, output, len(target))):
            value = self.function(precise, target, *data)
        if not isinstance(value, torch.Tensor) or value.shape != target.shape:
            shape = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise OptionError(
                f"utility {self.name!r} returned {shape}; expected a tensor ({len(target)},), one per image"
            )
        return value

    def _error_of_empty_rows(self, error: Exception, output: Any, rows: int) -> TargetError | None:
        """Return the error for a function that raised if the model detects nothing in a row; otherwise None."""
        empty = [str(row) for row, part in enumerate(_rows(output, rows)) if is_empty(part)]
        if not empty:
            return None
        return TargetError(
            f"utility {self.name!r} raised {type(error).__name__}, and the model detects nothing in row "
            f"{', '.join(empty)} (an image, or one with places removed): lower the model's score threshold, or "
            "let the utility return 0 there"
        )

    def with_image_data(self, output: Any, target: Int[Tensor, " b"], labels: Labels) -> Utility:
        """Return the utility with its data for these images, computed from their output if it has `make_image_data`."""
        data = self.image_data if self.make_image_data is None else self.make_image_data(output, target, labels)
        if data is None:
            return self
        return replace(
            self, image_data=data.expand(len(target), *data.shape[1:]).to(target.device), make_image_data=None
        )

    def check_images(self, count: int) -> None:
        """Refuse image data that does not fit `count` images.

        Raises:
            OptionError: there is neither one entry for all images nor one for each image.
        """
        if self.image_data is not None and len(self.image_data) not in {1, count}:
            raise OptionError(
                f"utility {self.name!r} was given data for {len(self.image_data)} images, and {count} are explained; "
                "expected one for all, or one an image"
            )

    def _data(self, samples: Tensor | None) -> tuple[Tensor, ...]:
        if self.image_data is None:
            return ()
        return (self.image_data if samples is None else self.image_data[samples.to(self.image_data.device)],)
