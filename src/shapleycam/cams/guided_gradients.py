"""Guided backpropagation, the gradient by the image in which each ReLU passes only positive gradients; Guided GradCAM.

Sources: Springenberg 2014, arXiv:1412.6806; Selvaraju 2017, arXiv:1610.02391.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost, PositionValues
from shapleycam.cams.heatmaps import resize
from shapleycam.cams.pixel_cells import values_of_cells
from shapleycam.cams.spreads import MEAN
from shapleycam.game import Game
from shapleycam.game.image_gradients import image_gradient
from shapleycam.game.relu_nodes import relu_nodes
from shapleycam.precision import widened
from shapleycam.values.options import EstimatorOptions

_GROUP, _COLOUR = "derivatives by the image", "#997700"


def guided_gradient(game: Game, method: str = "guidedbackprop") -> Float[Tensor, "b *image"]:
    """Return the guided gradient by the images: each ReLU passes back only the positive part of its gradient.

    Raises:
        OptionError: the model has other nonlinearities than ReLU, ReLU6 and max pooling.
        DerivativeError: the model passes no gradient back to the images.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.cams.guided_gradients import guided_gradient
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="1").game(torch.rand(1, 3, 8, 8))
        >>> guided_gradient(game).shape
        torch.Size([1, 3, 8, 8])
    """

    def guide(output: Any, images: Tensor) -> None:
        for node in relu_nodes(output, images, game.trace.owner, method):
            node.register_prehook(_positive)

    return image_gradient(game, prepare=guide)


def _positive(gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in gradients)


def _sizes(game: Game, method: str) -> Float[Tensor, "b *size"]:
    """Return the absolute guided gradient at each pixel, summed over channels."""
    return guided_gradient(game, method).abs().sum(game.image_channels)


def _guided_backpropagation(game: Game, _: EstimatorOptions) -> PositionValues:
    return values_of_cells(game, _sizes(game, "guidedbackprop"))


def _guided_gradcam(game: Game, _: EstimatorOptions) -> PositionValues:
    """Return the guided gradient times the layer's GradCAM, ReLU and resized, of each pixel."""
    sizes = _sizes(game, "guidedgradcam")
    skipped = game.layout.prefix
    activation, gradient = (
        widened(game.layout.positions(each))[:, skipped:] for each in (game.activation, game.gradient())
    )
    gradcam = MEAN(activation, gradient, activation).relu().unflatten(1, game.layout.grid)
    resized = resize(gradcam.to(sizes), tuple(sizes.shape[-len(game.layout.grid) :]))
    further = [1] * (sizes.dim() - resized.dim())
    return values_of_cells(game, sizes * resized.reshape(len(sizes), *further, *resized.shape[1:]))


_basis = partial(
    Basis,
    group=_GROUP,
    colour=_COLOUR,
    needs_model_passes=True,
    is_conditional=True,
)
GUIDED = _basis(
    "guided gradient", _guided_backpropagation, lambda _players, _nodes: Cost(head_gradients=1, model_passes=1)
)
GUIDED_GRADCAM = _basis(
    "guided gradient x gradcam", _guided_gradcam, lambda _players, _nodes: Cost(head_gradients=2, model_passes=1)
)
