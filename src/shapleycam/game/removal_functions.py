"""Call a user's removal function, and check that it treats each image independently and is deterministic.

The values of an image must not depend on the other images of its batch. A function that takes a mean over the batch, or
draws random numbers, would silently break this. So it is called again with only the first and only the last image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.foreign_errors import convert_errors_of_function
from shapleycam.precision import widened
from shapleycam.tracing.agreement import outputs_equal
from shapleycam.wording import type_and_first_line


def apply_to_images(function: Callable[[Tensor], Any], name: str, activation: Tensor) -> Any:
    """Return the result of a user's function for an activation (b, ...); each call gets a copy of the activation.

    Raises:
        OptionError: the function raises (its exception is the cause), mixes the images of the batch, or returns another
            result when it is called again.

    Examples:
        >>> import torch
        >>> from shapleycam.game.removal_functions import apply_to_images
        >>> apply_to_images(lambda a: a / 2, "half", torch.tensor([[2.0], [6.0]]))
        tensor([[1.],
                [3.]])
    """
    of_batch = _call(function, name, activation)
    if not _is_comparable(of_batch) or not bool(torch.isfinite(of_batch).all()):
        return of_batch  # the caller refuses it
    for image in sorted({0, len(activation) - 1}):
        rows = activation[image : image + 1]
        of_image = _call(function, name, rows)
        if not _agree(of_batch, image, len(activation), of_image):
            _check_repeats(function, name, rows, of_image)
            raise OptionError(
                f"removal 'function {name}' makes something else of an image among others than of it alone (image "
                f"{image} of {len(activation)}); expected a function of each image by itself: take no mean over "
                "dimension 0, the images, and choose none by its number"
            )
    return of_batch


def _agree(of_batch: Tensor, image: int, count: int, of_image: Any) -> bool:
    """Return whether the result for a batch agrees with the result for a single image, up to rounding."""
    if not _is_comparable(of_image):
        return False
    is_same_for_all = of_batch.shape == of_image.shape  # such as a constant tensor that ignores the activation
    has_row = not is_same_for_all and of_batch.shape == (count, *of_image.shape[1:])
    row = of_batch[image : image + 1] if has_row else of_batch
    return outputs_equal(widened(row), widened(of_image))


def _is_comparable(result: Any) -> bool:
    """Return whether it is a tensor of stored floating-point numbers."""
    is_float = isinstance(result, Tensor) and result.is_floating_point()
    return is_float and result.layout == torch.strided and not result.is_meta


def _check_repeats(function: Callable[[Tensor], Any], name: str, rows: Tensor, first: Any) -> None:
    """Refuse a function that returns another result than `first` when it is called again with the same rows.

    Raises:
        OptionError: the results differ.
    """
    again = _call(function, name, rows)
    if type(again) is type(first) and (not _is_comparable(first) or outputs_equal(again, first)):
        return
    raise OptionError(
        f"removal 'function {name}' makes something else of the same activation each time; expected the same: let it "
        "draw from a generator that it seeds itself, and keep nothing between calls"
    )


def _call(function: Callable[[Tensor], Any], name: str, activation: Tensor) -> Any:
    """Return the result of a user's function for a copy of an activation.

    Raises:
        OptionError: the function raises; its exception is the cause.
    """
    with convert_errors_of_function(
        lambda error: OptionError(
            f"removal 'function {name}' raised {type_and_first_line(error)} for an activation of shape "
            f"{tuple(activation.shape)}; expected a function that makes a tensor of it, of the same shape, for any "
            "number of images"
        )
    ):
        return function(activation.clone())
