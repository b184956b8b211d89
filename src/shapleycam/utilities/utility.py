"""The class of utilities: functions from the model's output and the class to one number an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ShapleyCamError, TargetError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.precision import widened
from shapleycam.tracing.nested import is_empty
from shapleycam.tracing.selected_output import UtilityInput

Function: TypeAlias = "Callable[..., Tensor]"
Labels: TypeAlias = "Sequence[str] | None"


def as_logits(output: Float[Tensor, "b *classes"]) -> Float[Tensor, "b classes"]:
    """Return the class scores (b, classes); of one logit z, (b,) or (b, 1), those of no (-z) and yes (z).

    Raises:
        TargetError: the output has another form.

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
    """Return the class scores, None where the output has another form."""
    return as_logits(output) if isinstance(output, torch.Tensor) and output.dim() in {1, 2} else None


def _rows(output: Any, count: int) -> Sequence[Any]:
    """Return the output of each image, where it is a list of these; otherwise all of it as one."""
    return output if isinstance(output, (list, tuple)) and len(output) == count else [output]


@dataclass(frozen=True, eq=False)
class Utility:
    """A named utility: what is explained, as one number an image.

    Attributes:
        name: in results and messages.
        function: `function(output, target)` returns (b,); with image data, `function(output, target, data)`.
        formula: for people.
        summary: one line for people.
        scores: `scores(output, labels)` returns (b, n), what a target chooses among; None where there are no classes.
        predicts: whether the class with the largest score is the predicted one.
        raw: whether the function gets everything that the model returns, and not the part that is explained.
        reads: the form of the output that the function gets. "scores": class scores, the logits also where the model
            returns probabilities (log p if `needs_logits` is False and there are no logits); "numbers": one row an
            image; "output": the model's own.
        needs_logits: whether log p will not do.
        multi_label: whether several of its classes may hold at once.
        log_softmax_terms: (a, b) where it is a · z_c + b · log softmax(z)_c of the class scores z; None for others.
        image_data: (b or 1, ...), data for each image, the function's third argument: a mask, an embedding.
        make_image_data: `make_image_data(output, target, labels)` makes the data from the output on the whole image;
            they then stay the same for all coalitions.

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
            output: of `rows` coalitions or images.
            target: the class of each row.
            samples: the image that each row belongs to; None where rows are the images one to one.

        Raises:
            OptionError: the function does not give one number a row.
            TargetError: the function raised where the model detects nothing.
        """
        precise = widened(output) if isinstance(output, torch.Tensor) else output
        try:
            value = self.function(precise, target, *self._data(samples))
        except Exception as error:
            if isinstance(error, ShapleyCamError) or is_out_of_memory(error):
                raise
            empty = [str(row) for row, part in enumerate(_rows(output, len(target))) if is_empty(part)]
            if not empty:
                raise
            raise TargetError(
                f"utility {self.name!r} raised {type(error).__name__}, and the model detects nothing in row "
                f"{', '.join(empty)} (an image, or one with places removed): lower the model's score threshold, or "
                "let the utility return 0 there"
            ) from error
        if not isinstance(value, torch.Tensor) or value.shape != target.shape:
            shape = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise OptionError(
                f"utility {self.name!r} returned {shape}; expected a tensor ({len(target)},), one per image"
            )
        return value

    def with_image_data(self, output: Any, target: Int[Tensor, " b"], labels: Labels) -> Utility:
        """Return the utility with its data for these images, made from their output where it is made of it."""
        data = self.image_data if self.make_image_data is None else self.make_image_data(output, target, labels)
        if data is None:
            return self
        return replace(
            self, image_data=data.expand(len(target), *data.shape[1:]).to(target.device), make_image_data=None
        )

    def check_images(self, count: int) -> None:
        """Refuse data for another number of images.

        Raises:
            OptionError: neither one for all, nor one an image.
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
