"""Finer-CAM: Grad-CAM of a class compared with the most similar classes.

Source: Zhang et al. 2025, arXiv:2501.11309 (Finer-CAM).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost
from shapleycam.game import Game
from shapleycam.game.variants import game_with_utility
from shapleycam.utilities import UTILITIES, contrast_with_similar
from shapleycam.values.options import EstimatorOptions


def contrasted_gradient(game: Game, _: EstimatorOptions) -> Float[Tensor, "b n k"]:
    """Return ∂(z_c - mean z_d)/∂A, with d the three classes whose scores are closest to the score of class c.

    Raises:
        OptionError: the utility of the game is not a function of class scores.
        TargetError: no other class has a finite score.
    """
    scores = game_with_utility(game, UTILITIES["logit"]).trace.output  # refused if these are not class scores
    utility = contrast_with_similar().with_image_data(scores, game.target, None)
    return game.layout.positions(game_with_utility(game, utility).gradient())


SIMILAR_CLASSES = Basis(
    "similar classes",
    contrasted_gradient,
    lambda _players, _nodes: Cost(head_gradients=1),
    "first order",
    "#6699CC",
    is_conditional=True,
)
