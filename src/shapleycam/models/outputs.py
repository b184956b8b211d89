"""Which part of what a model returns is explained: the one that the user names, or the only one that can be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from shapleycam.errors import ModelError, OptionError

Choice: TypeAlias = "str | int | Callable[[Any], Any] | None"

_USUAL = ("logits", "out")
"""What transformers and torchvision call it."""


def selector(choice: object) -> Callable[[Any], Any]:
    """From what a model returns to what is explained: by key or attribute, by position, by a function, or found.

    Raises:
        OptionError: a choice of another kind.
    """
    if choice is None:
        return found
    if callable(choice):
        return choice
    if isinstance(choice, (str, int)) and not isinstance(choice, bool):
        return partial(_named, choice)
    raise OptionError(f"output={choice!r} is a {type(choice).__name__}; expected a name, a position or a function")


def found(output: Any) -> Tensor:
    """The tensor itself, the entry called `logits` or `out`, or the only tensor of numbers (b, ...) in it.

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
    if len(able) == 1:
        return next(iter(able.values()))
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
