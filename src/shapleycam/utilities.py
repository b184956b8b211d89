"""What is explained: a scalar an image, made from the model's output and the class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import OptionError, TargetError, nearest

Function: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


@dataclass(frozen=True)
class Utility:
    """A named utility: `function(output, target)` gives one number an image; `formula` is for people."""

    name: str
    function: Function
    formula: str
    summary: str

    def __call__(self, output: Float[Tensor, "b classes"], target: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The utility of each image, in float32 at least.

        Raises:
            OptionError: the function does not give one number an image.
        """
        precise = output.float() if output.dtype in {torch.float16, torch.bfloat16} else output
        value = self.function(precise, target)
        if not isinstance(value, torch.Tensor) or value.shape != target.shape:
            found = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise OptionError(
                f"utility {self.name!r} returned {found}; expected a tensor ({len(target)},), one per image"
            )
        return value


def logit(output: Float[Tensor, "b classes"], target: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """z_c, the class score itself."""
    return output.gather(1, target[:, None]).squeeze(1)


def log_probability(output: Float[Tensor, "b classes"], target: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Log softmax(z)_c."""
    return logit(output.log_softmax(1), target)


def probability(output: Float[Tensor, "b classes"], target: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """softmax(z)_c."""
    return logit(output.softmax(1), target)


def rest(output: Float[Tensor, "b classes"], target: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
    """z_c + log softmax(z)_c, the Residual Softmax Target-class utility (arXiv:2501.06261)."""
    return logit(output, target) + log_probability(output, target)


UTILITIES = {
    utility.name: utility
    for utility in (
        Utility("rest", rest, "z_c + log softmax(z)_c", "logit and log-probability together (the paper's ReST)"),
        Utility("logit", logit, "z_c", "the class score before softmax; ignores the other classes"),
        Utility("log_probability", log_probability, "log softmax(z)_c", "in nats; saturates slowly"),
        Utility("probability", probability, "softmax(z)_c", "saturates: flat where the model is sure"),
    )
}


def utility_of(choice: str | Utility | Function) -> Utility:
    """The utility that a name or a callable `(output, target) -> (b,)` means.

    Raises:
        OptionError: an unknown name.
    """
    if isinstance(choice, Utility):
        return choice
    if isinstance(choice, str):
        if choice not in UTILITIES:
            raise OptionError(f"utility {choice!r} is unknown; {nearest(choice, UTILITIES)}")
        return UTILITIES[choice]
    if callable(choice):
        name = getattr(choice, "__name__", type(choice).__name__)
        return Utility(name, choice, f"{name}(output, target)", "a function of the user's")
    raise OptionError(
        f"utility {choice!r} is a {type(choice).__name__}; expected a name or a callable (output, target)"
    )


def check_logits(output: Float[Tensor, "..."]) -> None:
    """Classes need an output (b, classes).

    Raises:
        TargetError: the output has another form.
    """
    if output.dim() != 2:
        raise TargetError(f"the model's output has shape {tuple(output.shape)}; expected logits (b, classes)")
