"""The gradient of a game's utility by the images themselves, from a pass of the whole model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.errors import DerivativeError
from shapleycam.game.game import Game
from shapleycam.game.grad_modes import with_gradients
from shapleycam.precision import widened
from shapleycam.tracing.graph import gradients, operation_without_derivative
from shapleycam.tracing.interrupts import restore_when_interrupted


@restore_when_interrupted
def image_gradient(
    game: Game,
    samples: Int[Tensor, " rows"] | None = None,
    *,
    observer: AbstractContextManager[object] | None = None,
    prepare: Callable[[Any, Tensor], None] | None = None,
) -> Float[Tensor, "rows *image"]:
    """Return the utility's gradient by the images of a game.

    It takes a forward and a backward pass of the whole model.

    Args:
        game: the game.
        samples: (rows,), the indices of some images; None for all images.
        observer: a context in which the model runs.
        prepare: a function that is called with the output and the images before the gradient is taken; it may register
            hooks on nodes of the graph between them.

    Raises:
        DerivativeError: the images are integers, or the model passes no gradient back to them.
    """
    rows = game.images if samples is None else game.images[samples.to(game.images.device)]
    if not rows.is_floating_point():
        raise DerivativeError(
            f"the images are {rows.dtype} numbers, which have no derivative; expected floating-point images: choose a "
            "method of the layer's activation, such as 'gradcam'"
        )
    target = game.target if samples is None else game.target[samples.to(game.target.device)]
    with with_gradients():
        images = rows.detach().clone().requires_grad_()
        output = game.trace.output_from_images(images, samples, observer)
        total = game.utility(output, target, samples).sum()
        if prepare is not None:
            prepare(output, images)
        gradient = gradients(total, [images])[0] if total.requires_grad else None
        operation = operation_without_derivative(total) if gradient is not None else None
    if gradient is None or operation is not None:
        raise DerivativeError(
            "the model passes no gradient, or not all of it, from its output to the image: a part of it is quantised, "
            "detached or under no_grad; choose a method of a layer behind that part, such as 'gradcam'"
        )
    return widened(gradient.detach())
