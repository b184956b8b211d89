"""Functions that methods of masked images share: the axes of an image, scores of masked images, and their cost.

A mask multiplies the preprocessed image, or marks the pixels that are covered. The score is the utility of the masked
image, from a pass of the whole model.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.cams.bases import Basis, BasisResult, Cost
from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.game.image_scores import ImageScorer
from shapleycam.models.layout import Size
from shapleycam.values.options import EstimatorOptions

_GROUP = "masked images"


def masked_basis(
    name: str,
    compute: Callable[[Game, EstimatorOptions], BasisResult],
    passes: Callable[[int], int],
    colour: str,
    *,
    is_per_channel: bool = False,
) -> Basis:
    """Return a basis of masked images; `passes` returns the runs of the model for n players, or for one channel."""
    return Basis(
        name,
        compute,
        lambda players, _nodes: Cost(model_passes=passes(players)),
        _GROUP,
        colour,
        needs_model_passes=True,
        is_per_channel=is_per_channel,
    )


def image_scorer(game: Game, options: EstimatorOptions) -> ImageScorer:
    """Return a scorer of masked images, which reports its progress with NaN as the standard error."""
    report = options.progress
    return ImageScorer(game, None if report is None else lambda count: report(count, nan))


def place_axes(game: Game) -> tuple[int, ...]:
    """Return the spatial axes of the images, as many as the layer's grid has.

    Raises:
        OptionError: the images have fewer axes.
    """
    count = len(game.layout.grid)
    axes = tuple(axis for axis in range(1, game.images.dim()) if axis != game.image_channels)
    if len(axes) < count:
        raise OptionError(
            f"methods of masked images need images with {count} axes of places, as layer {game.layer!r} has; the "
            f"images have shape {tuple(game.images.shape)}: choose a method that does not mask images"
        )
    return axes[-count:]


def size_of_images(game: Game) -> Size:
    """Return the (height, width) of a game's images; in 3-D (depth, height, width)."""
    return tuple(game.images.shape[axis] for axis in place_axes(game))


def for_images(game: Game, mask: Float[Tensor, "*size"]) -> Float[Tensor, "*image"]:
    """Return a mask reshaped so that an image of the game can be multiplied with it."""
    axes = place_axes(game)
    shape = [side if axis in axes else 1 for axis, side in enumerate(game.images.shape[1:], start=1)]
    return mask.reshape(shape).to(game.images)


def players_of_places(game: Game, image: int) -> Int[Tensor, "*size"]:
    """Return the player of each pixel: the player of the cell that contains the pixel's upper left corner."""
    players: Tensor = game.players.member[image, game.layout.prefix :].unflatten(0, game.layout.grid)
    for axis, (cells, side) in enumerate(zip(game.layout.grid, size_of_images(game), strict=True)):
        cell = torch.arange(side, device=players.device) * cells // side
        players = players.index_select(axis, cell)
    return players
