"""What a utility is: a scalar an image, made from the model's output and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, ShapleyCamError, TargetError
from shapleycam.precision import widened
from shapleycam.tracing.nested import is_empty
from shapleycam.tracing.scores import Reads

Function: TypeAlias = "Callable[..., Tensor]"
Labels: TypeAlias = "Sequence[str] | None"


def as_logits(output: Float[Tensor, "b *classes"]) -> Float[Tensor, "b classes"]:
    """The class scores (b, classes): of a model with one logit, (b,) or (b, 1), those of no (-z) and yes (z).

    Raises:
        TargetError: the output has another form.
    """
    if not isinstance(output, torch.Tensor) or output.dim() not in {1, 2}:
        found = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else f"type {type(output).__name__}"
        raise TargetError(
            f"the model's output has {found}; expected logits (b, classes): choose them with output=, or ask of a "
            "place with utility=shapleycam.utilities.inside(mask) (segmentation) or box() (detection), or give a "
            "function of yours"
        )
    z = output if output.dim() == 2 else output[:, None]
    return torch.cat([-z, z], 1) if z.shape[1] == 1 else z


def logits_or_none(output: Any, _: Labels = None) -> Tensor | None:
    """The class scores, None where the output has another form."""
    return as_logits(output) if isinstance(output, torch.Tensor) and output.dim() in {1, 2} else None


def _rows(output: Any, count: int) -> Sequence[Any]:
    """What is returned for each image, where that is a list; else all of it."""
    return output if isinstance(output, (list, tuple)) and len(output) == count else [output]


@dataclass(frozen=True, eq=False)
class Utility:
    """A named utility: `function(output, target)` gives one number an image; `formula` is for people.

    `scores(output, labels)` (b, n) are what a target chooses among, None where there are no classes; the best is the
    predicted one, if it `predicts`. `raw` utilities get all that the model returns, others what is explained of it.
    `reads` says in which form: as class "scores" (logits, also where the model returns probabilities; log p where it
    `needs_logits` is False and there is nothing else), as "numbers" with one row an image, or as the model's own
    "output". `beside` says that its classes may stand beside each other.

    `each` (b or 1, ...) is data for each image, handed to the function as its third argument: a mask, an embedding.
    `settle(output, target, labels)` makes it from the output on the whole image; it then stays for all coalitions.
    """

    name: str
    function: Function
    formula: str
    summary: str
    scores: Callable[[Any, Labels], Tensor | None] = logits_or_none
    predicts: bool = True
    raw: bool = False
    reads: Reads = "output"
    needs_logits: bool = False
    multi_label: bool = False
    image_data: Tensor | None = None
    make_image_data: Callable[[Any, Tensor, Labels], Tensor] | None = None

    def __call__(
        self, output: Any, target: Int[Tensor, " b"], samples: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, " b"]:
        """The utility of each row, in float32 at least; `samples` says which image a row belongs to.

        Raises:
            OptionError: the function does not give one number a row.
        """
        precise = widened(output) if isinstance(output, torch.Tensor) else output
        try:
            value = self.function(precise, target, *self._data(samples))
        except (ShapleyCamError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:
            nothing = [str(row) for row, part in enumerate(_rows(output, len(target))) if is_empty(part)]
            if not nothing:
                raise
            raise TargetError(
                f"utility {self.name!r} raised {type(error).__name__}, and the model detects nothing in row "
                f"{', '.join(nothing)} (an image, or one with places removed): lower the model's score threshold, or "
                "let the utility return 0 there"
            ) from error
        if not isinstance(value, torch.Tensor) or value.shape != target.shape:
            found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise OptionError(
                f"utility {self.name!r} returned {found}; expected a tensor ({len(target)},), one per image"
            )
        return value

    def with_image_data(self, output: Any, target: Int[Tensor, " b"], labels: Labels) -> Utility:
        """The utility with its data for these images, made from their own output where it is made so."""
        each = self.image_data if self.make_image_data is None else self.make_image_data(output, target, labels)
        if each is None:
            return self
        return replace(
            self, image_data=each.expand(len(target), *each.shape[1:]).to(target.device), make_image_data=None
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
