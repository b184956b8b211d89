"""pytorch-grad-cam's targets, which are functions of the model's output for one image, as a utility."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError, TargetError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.utilities import Utility
from shapleycam.wording import type_and_first_line

_NAME = "the target"


def utility_of(targets: Sequence[Callable[[Any], Tensor]] | None, images: int) -> Utility:
    """Return the utility for a list of targets, one per image; without targets, for each image's largest output.

    The utility reads the model's output unchanged.

    Raises:
        OptionError: `targets` is not a list, has not one target per image, or has one that cannot be called.
    """
    if targets is None:
        return make_utility(_largest, make_image_data=_predicted)
    if not isinstance(targets, Iterable):
        raise OptionError(
            f"targets= is a {type(targets).__name__}; expected a list with one callable for each of the {images} "
            "images, as [ClassifierOutputTarget(281)]"
        )
    rows = list(targets)
    if len(rows) != images or not all(callable(target) for target in rows):
        given = ", ".join(sorted({type(target).__name__ for target in rows})) or "nothing"
        raise OptionError(
            f"targets= has {len(rows)} of {given}, and there are {images} images; expected one callable for each, as "
            "[ClassifierOutputTarget(281)]"
        )
    return make_utility(partial(_values_of, rows), image_data=torch.arange(images, device="cpu"))


def make_utility(
    function: Callable[..., Tensor],
    image_data: Tensor | None = None,
    make_image_data: Callable[..., Tensor] | None = None,
) -> Utility:
    """Return a utility that reads the model's output unchanged; `function(output, target, data)` returns (b,)."""
    return Utility(
        _NAME,
        function,
        "target(output)",
        "a target of pytorch-grad-cam's",
        scores=_no_classes,
        predicts=False,
        raw=True,
        image_data=image_data,
        make_image_data=make_image_data,
    )


def _no_classes(_: Any, __: Any) -> None:
    return None


def _values_of(targets: Sequence[Callable[[Any], Tensor]], output: Any, _: Tensor, images: Tensor) -> Tensor:
    """Return each row's number by its image's target; the model must return one row per image."""
    if not has_row_of_each(output, len(images)):
        raise TargetError(
            f"the model returns {form_of(output)} for {len(images)} images; expected one row for each: wrap the model "
            "so that it returns what the targets take"
        )
    return torch.stack([number_of(targets[image], row) for image, row in zip(images.tolist(), output, strict=True)])


def has_row_of_each(output: Any, images: int) -> bool:
    """Return whether a model's output has one row for each of `images` images.

    A list or tuple of several outputs may have as many entries as there are images, but its entries are not rows if
    each of them has a row for every image.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.questions import has_row_of_each
        >>> has_row_of_each(torch.zeros(2, 5), 2), has_row_of_each((torch.zeros(2, 5), torch.zeros(2, 3)), 2)
        (True, False)
    """
    if not isinstance(output, (Tensor, list, tuple)) or len(output) != images:
        return False
    if isinstance(output, Tensor) or images < 2:
        return True
    return not all(isinstance(each, Tensor) and each.shape[:1] == (images,) for each in output)


def form_of(output: Any) -> str:
    """Return a description of a model's output for messages: its shape, or the shapes of its parts.

    Examples:
        >>> import torch
        >>> from shapleycam.compat.questions import form_of
        >>> form_of(torch.zeros(2, 5)), form_of((torch.zeros(2, 5), torch.zeros(2, 3)))
        ('shape (2, 5)', 'a tuple of shapes (2, 5), (2, 3)')
    """
    if isinstance(output, Tensor):
        return f"shape {tuple(output.shape)}"
    if isinstance(output, (list, tuple)) and output and all(isinstance(each, Tensor) for each in output):
        return f"a {type(output).__name__} of shapes {', '.join(str(tuple(each.shape)) for each in output)}"
    return type(output).__name__


def number_of(target: Callable[[Any], Tensor], output: Any) -> Float[Tensor, ""]:
    """Return a target's number for the model's output for one image.

    Raises:
        TargetError: the target raises an error, which is the cause of this one, or does not return one number.
    """
    with convert_errors_of_function(
        lambda error: TargetError(
            f"{type(target).__name__} raised {type_and_first_line(error)}, for what the model returns for one image, "
            f"{form_of(output)}; expected a target of that: give a class that the model has, or another target"
        )
    ):
        value = target(output)
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise TargetError(f"{type(target).__name__} returned {form_of(value)}; expected one number, as a tensor")
    return value.reshape(())


def _largest(output: Tensor, _: Tensor, classes: Tensor) -> Tensor:
    """Return each row's output for its class."""
    return output.gather(1, classes[:, None])[:, 0]


def _predicted(output: Any, _: Tensor, __: Any) -> Tensor:
    """Return the class of each image with the largest output."""
    if not isinstance(output, Tensor) or output.dim() != 2:
        raise TargetError(f"the model returns {form_of(output)}; without targets= expected (b, classes): give targets")
    return output.detach().argmax(1)
