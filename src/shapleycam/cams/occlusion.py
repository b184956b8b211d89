"""Occlusion: the loss of score when a part of the image is covered.

Source: Zeiler & Fergus 2014, arXiv:1311.2901. The parts are the cells of the layer's positions, or regions of them.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from shapleycam.cams.masked_images import for_images, image_scorer, masked_basis, place_axes, players_of_places
from shapleycam.game import Game
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import PlayerValues


def occlusion(game: Game, options: EstimatorOptions) -> PlayerValues:
    """Return U(X) - U(X with the player's cells in the image's mean colour).

    The value is 0 for prefix tokens, which have no place in the image, and for cells without a pixel.
    """
    scorer = image_scorer(game, options)
    with_cells = game.n_players - (game.layout.prefix > 0)
    values = torch.zeros_like(game.full)[:, None].repeat(1, game.n_players)
    for image, pixels in enumerate(game.images):
        player = players_of_places(game, image)
        colour = pixels.mean([axis - 1 for axis in place_axes(game)], keepdim=True)
        masks = (for_images(game, (player == index).float()) for index in range(with_cells))
        covered = (torch.where(mask > 0, colour, pixels) for mask in masks)
        values[image, :with_cells] = game.full[image] - scorer.scores(image, covered).to(values)
    passes = torch.full((len(values),), with_cells, device=values.device)
    return PlayerValues(values, None, passes)


COVERED_CELLS = replace(
    masked_basis("covered cells", occlusion, lambda players: players, "#BF812D"), fewest_runs=lambda players: players
)
