"""What a user's function makes of an activation to stand in for it: of each image by itself, and always the same.

An image's values depend on nothing but the image. A function that takes a mean over the batch, or draws, would break
that without a word. So it is called once more for the first and the last image alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.precision import widened
from shapleycam.tracing.agreement import outputs_equal
from shapleycam.wording import type_and_first_line


def apply_to_images(function: Callable[[Tensor], Any], name: str, activation: Tensor) -> Any:
    """Return what a user's function makes of an activation (b, ...), each call with a copy of it.

    Raises:
        OptionError: it raises, where its own exception is the cause; it mixes the images of the batch; or it makes
            something else of the same activation when it is called again.

    Examples:
        >>> import torch
        >>> from shapleycam.game.removal_functions import apply_to_images
        >>> apply_to_images(lambda a: a / 2, "half", torch.tensor([[2.0], [6.0]]))
        tensor([[1.],
                [3.]])
    """
    made = _call(function, name, activation)
    if not _is_comparable(made) or not bool(torch.isfinite(made).all()):
        return made  # refused by whoever asked for it
    for image in sorted({0, len(activation) - 1}):
        rows = activation[image : image + 1]
        alone = _call(function, name, rows)
        if not _is_of_image(made, image, len(activation), alone):
            _check_repeats(function, name, rows, alone)
            raise OptionError(
                f"removal 'function {name}' makes something else of an image among others than of it alone (image "
                f"{image} of {len(activation)}); expected a function of each image by itself: take no mean over "
                "dimension 0, the images, and choose none by its number"
            )
    return made


def _is_of_image(made: Tensor, image: int, count: int, alone: Any) -> bool:
    """Return whether an image has in a batch what is made of it alone, up to rounding."""
    if not _is_comparable(alone):
        return False
    is_same_for_all = made.shape == alone.shape  # also: what the user made before, whatever the activation is
    of_image = made if is_same_for_all or made.shape != (count, *alone.shape[1:]) else made[image : image + 1]
    return outputs_equal(widened(of_image), widened(alone))


def _is_comparable(made: Any) -> bool:
    """Return whether it is a tensor of stored floating-point numbers."""
    return isinstance(made, Tensor) and made.is_floating_point() and made.layout == torch.strided and not made.is_meta


def _check_repeats(function: Callable[[Tensor], Any], name: str, rows: Tensor, alone: Any) -> None:
    """Refuse a function that makes something else of the same activation when it is called again.

    Raises:
        OptionError: it does.
    """
    again = _call(function, name, rows)
    if type(again) is type(alone) and (not _is_comparable(alone) or outputs_equal(again, alone)):
        return
    raise OptionError(
        f"removal 'function {name}' makes something else of the same activation each time; expected the same: let it "
        "draw from a generator that it seeds itself, and keep nothing between calls"
    )


def _call(function: Callable[[Tensor], Any], name: str, activation: Tensor) -> Any:
    """Return what a user's function makes of a copy of an activation.

    Raises:
        OptionError: it raises; its own exception is the cause.
    """
    try:
        return function(activation.clone())
    except Exception as error:
        if isinstance(error, ShapleyCamError) or is_out_of_memory(error):
            raise
        raise OptionError(
            f"removal 'function {name}' raised {type_and_first_line(error)} for an activation of shape "
            f"{tuple(activation.shape)}; expected a function that makes a tensor of it, of the same shape, for any "
            "number of images"
        ) from error
