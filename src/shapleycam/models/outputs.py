"""The part of a model's output that is explained: the part that the user names, or the only possible one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from shapleycam.errors import ModelError, OptionError
from shapleycam.models.mask_queries import CLASSES, MASKS, has_mask_queries, pixel_scores

OutputChoice: TypeAlias = "str | int | Callable[[Any], Any] | None"

_LOGITS_NAMES = ("logits", "out")
"""Names of the logits in outputs from transformers and torchvision."""
_TOLERANCE = 1e-5


def make_selector(choice: object) -> Callable[[Any], Any]:
    """Return a function that takes the explained part from a model's output.

    `choice` is the part's key or attribute name, its position, or such a function; None searches for the logits
    (`find_logits`).

    Raises:
        OptionError: the choice has another type.
    """
    if choice is None:
        return find_logits
    if callable(choice):
        return choice
    if isinstance(choice, (str, int)) and not isinstance(choice, bool):
        return partial(_take_part, choice)
    raise OptionError(f"output={choice!r} is a {type(choice).__name__}; expected a name, a position or a function")


def chosen_part(select: Callable[[Any], Any]) -> str | int | None:
    """Return the name or position of the part that a selector takes; None for the selector that searches.

    Raises:
        OptionError: the selector is the user's own function, which has no name that could be stored.

    Examples:
        >>> from shapleycam.models.outputs import chosen_part, make_selector
        >>> chosen_part(make_selector("aux")), chosen_part(make_selector(None))
        ('aux', None)
    """
    if select is find_logits:
        return None
    if isinstance(select, partial) and select.func is _take_part:
        part: str | int = select.args[0]
        return part
    raise OptionError(
        "output= is a function, and nothing says what it takes of the model's output; expected a name or a position, "
        "or leave out="
    )


def check_rows(output: Tensor, rows: int, noun: str = "images") -> Tensor:
    """Return the output with one row for each of `rows` images (or coalitions).

    For a single image, an output of shape () or (n,) becomes one row. `noun` names the rows in the message.

    Raises:
        ModelError: the output has a different number of rows.
    """
    shape = tuple(output.shape)
    if rows == 1 and len(shape) < 2:
        return output if shape == (1,) else output[None]
    if not shape or shape[0] != rows:
        raise ModelError(
            f"the model returns shape {shape} for {rows} {noun if rows > 1 else noun.rstrip('s')}; expected one row "
            f"for each, ({rows}, ...): mend the model (a squeeze, flatten, crops or a transposition may be the cause), "
            "or make such rows of what it returns by output=, a function"
        )
    return output


def find_logits(output: Any) -> Tensor:
    """Return the logits in a model's output.

    They are the output itself if it is a tensor; else its part named `logits` or `out`; else the pixel scores of
    queries with classes and masks (`mask_queries.pixel_scores`); else its only floating-point tensor (b, ...). In the
    last case, tensors that are the softmax or sigmoid of another part do not count: (probabilities, logits) gives the
    logits.

    Raises:
        ModelError: there is no such tensor, or several.
    """
    if isinstance(output, torch.Tensor):
        return output
    parts = dict(_parts(output))
    for name in _LOGITS_NAMES:
        part = parts.get(name)
        if isinstance(part, torch.Tensor):
            return part
    if has_mask_queries(parts):
        return pixel_scores(parts[CLASSES], parts[MASKS])
    candidates = {
        name: part
        for name, part in parts.items()
        if isinstance(part, torch.Tensor) and part.is_floating_point() and part.dim() >= 1
    }
    logits = {
        name: part
        for name, part in candidates.items()
        if not any(_is_activation_of(part, candidate) for candidate in candidates.values())
    }
    if len(logits) == 1:
        return next(iter(logits.values()))
    kind = type(output).__name__
    if not candidates:
        raise ModelError(
            f"the model returns a {kind} without a tensor of numbers; say which part of it is explained with output=, "
            "a function of what the model returns (of a detector: use shapleycam.Detector, or "
            "utility=shapleycam.utilities.box())"
        )
    shapes = ", ".join(f"{name!r} {tuple(part.shape)}" for name, part in candidates.items())
    raise ModelError(
        f"the model returns a {kind} of {len(candidates)} tensors: {shapes}; say which is explained with "
        f"output={next(iter(candidates))!r}, say, or a function"
    )


def _is_activation_of(part: Tensor, logits: Tensor) -> bool:
    """Return whether a tensor (b, ...) is the softmax or sigmoid of `logits`, or the logarithm of one of these."""
    if part is logits or part.shape != logits.shape:
        return False
    z, numbers = logits.detach().float(), part.detach().float()
    classes = min(1, z.dim() - 1)
    activations = (z.sigmoid(), z.softmax(classes), z.log_softmax(classes), logsigmoid(z))
    tolerance = max(_TOLERANCE, *(4 * torch.finfo(tensor.dtype).eps for tensor in (part, logits)))  # in half precision
    return any(torch.allclose(activation, numbers, rtol=tolerance, atol=tolerance) for activation in activations)


def _take_part(choice: str | int, output: Any) -> Any:
    parts = dict(_parts(output))
    if isinstance(choice, int):
        parts = dict(enumerate(parts.values()))
    if choice not in parts and isinstance(choice, str) and not isinstance(output, torch.Tensor):
        attribute = getattr(output, choice, None)
        parts |= {} if attribute is None else {choice: attribute}
    if choice not in parts:
        known = ", ".join(map(repr, parts)) or f"a {type(output).__name__}, which has no parts"
        raise ModelError(f"output={choice!r} is not in what the model returns; there are {known}")
    return parts[choice]


def _parts(output: Any) -> Iterator[tuple[str | int, Any]]:
    """Yield the names (keys, fields, attributes or positions) and the parts of an output."""
    if isinstance(output, Mapping):
        yield from output.items()
    elif isinstance(output, (tuple, list)):
        yield from zip(getattr(output, "_fields", range(len(output))), output, strict=True)
    elif is_dataclass(output):
        yield from ((part.name, getattr(output, part.name)) for part in fields(output))
    elif hasattr(output, "__dict__"):
        yield from vars(output).items()
