"""Which part of what a model returns is explained: the one that the user names, or the only one that can be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from shapleycam.errors import ModelError, OptionError

OutputChoice: TypeAlias = "str | int | Callable[[Any], Any] | None"

_USUAL = ("logits", "out")
"""What transformers and torchvision call it."""
_EQUAL = 1e-5


def make_selector(choice: object) -> Callable[[Any], Any]:
    """From what a model returns to what is explained: by key or attribute, by position, by a function, or found.

    Raises:
        OptionError: a choice of another kind.
    """
    if choice is None:
        return find_logits
    if callable(choice):
        return choice
    if isinstance(choice, (str, int)) and not isinstance(choice, bool):
        return partial(_named, choice)
    raise OptionError(f"output={choice!r} is a {type(choice).__name__}; expected a name, a position or a function")


def check_rows(output: Tensor, rows: int, what: str = "images") -> Tensor:
    """The output with one row for each of `rows` images (or coalitions): of one image (), (n,) is read as one row.

    Raises:
        ModelError: it has another number of rows.
    """
    shape = tuple(output.shape)
    if rows == 1 and len(shape) < 2:
        return output if shape == (1,) else output[None]
    if not shape or shape[0] != rows:
        raise ModelError(
            f"the model returns shape {shape} for {rows} {what if rows > 1 else what.rstrip('s')}; expected one row "
            f"for each, ({rows}, ...): mend the model (a squeeze, flatten, crops or a transposition may be the cause), "
            "or make such rows of what it returns by output=, a function"
        )
    return output


def find_logits(output: Any) -> Tensor:
    """The tensor itself, the entry called `logits` or `out`, or the only tensor of numbers (b, ...) in it.

    Of tensors that are the softmax or sigmoid of another one in it, that other one: of (probabilities, logits) the
    logits.

    Raises:
        ModelError: there is none, or there are several.
    """
    if isinstance(output, torch.Tensor):
        return output
    parts = dict(_parts(output))
    for name in _USUAL:
        usual = parts.get(name)
        if isinstance(usual, torch.Tensor):
            return usual
    able = {
        name: part
        for name, part in parts.items()
        if isinstance(part, torch.Tensor) and part.is_floating_point() and part.dim() >= 1
    }
    logits = {name: part for name, part in able.items() if not any(_is_made_of(part, of) for of in able.values())}
    if len(logits) == 1:
        return next(iter(logits.values()))
    kind = type(output).__name__
    if not able:
        raise ModelError(
            f"the model returns a {kind} without a tensor of numbers; say which part of it is explained with output=, "
            "a function of what the model returns (of a detector: utility=shapleycam.utilities.box())"
        )
    shapes = ", ".join(f"{name!r} {tuple(part.shape)}" for name, part in able.items())
    raise ModelError(
        f"the model returns a {kind} of {len(able)} tensors: {shapes}; say which is explained with "
        f"output={next(iter(able))!r}, say, or a function"
    )


def _is_made_of(part: Tensor, of: Tensor) -> bool:
    """Whether a tensor (b, ...) is the softmax or sigmoid, or the logarithm of one, of another tensor."""
    if part is of or part.shape != of.shape:
        return False
    z, probabilities = of.detach().float(), part.detach().float()
    classes = min(1, z.dim() - 1)
    made = (z.sigmoid(), z.softmax(classes), z.log_softmax(classes), logsigmoid(z))
    room = max(_EQUAL, *(4 * torch.finfo(tensor.dtype).eps for tensor in (part, of)))  # in half precision
    return any(torch.allclose(one, probabilities, rtol=room, atol=room) for one in made)


def _named(choice: str | int, output: Any) -> Any:
    parts = dict(_parts(output))
    if isinstance(choice, int):
        parts = dict(enumerate(parts.values()))
    if choice not in parts and isinstance(choice, str) and not isinstance(output, torch.Tensor):
        found_there = getattr(output, choice, None)
        parts |= {} if found_there is None else {choice: found_there}
    if choice not in parts:
        there = ", ".join(map(repr, parts)) or f"a {type(output).__name__}, which has no parts"
        raise ModelError(f"output={choice!r} is not in what the model returns; there are {there}")
    return parts[choice]


def _parts(output: Any) -> Iterator[tuple[str | int, Any]]:
    """The parts of an output by the names that it has for them."""
    if isinstance(output, Mapping):
        yield from output.items()
    elif isinstance(output, (tuple, list)):
        yield from zip(getattr(output, "_fields", range(len(output))), output, strict=True)
    elif is_dataclass(output):
        yield from ((part.name, getattr(output, part.name)) for part in fields(output))
    elif hasattr(output, "__dict__"):
        yield from vars(output).items()
