"""The weights of the classifier, as in CAM, the first class activation map.

Source: Zhou et al. 2016, arXiv:1512.04150.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, Cost
from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.game.variants import game_with_utility, is_linear_in_mean
from shapleycam.utilities import UTILITIES
from shapleycam.values.options import EstimatorOptions


def class_weights(game: Game, _: EstimatorOptions) -> Float[Tensor, "b n k"]:
    """Return ∂z_c/∂A, which is w_ck / n at every position, since the logit is linear in the mean over positions.

    Raises:
        OptionError: the logit is not proven to be linear in the mean, or the utility has no classes.
    """
    logits = game_with_utility(game, UTILITIES["logit"])
    if not is_linear_in_mean(logits):
        raise OptionError(
            f"method 'cam' needs a model that averages the positions of layer {game.layer!r} and is linear behind the "
            "mean, which is not proven of this one; choose the layer before pooling, or method 'gradcam', which is the "
            "same map where both can be had"
        )
    return game.layout.positions(logits.gradient())


CLASS_WEIGHTS = Basis(
    "class weights",
    class_weights,
    lambda _players, _nodes: Cost(head_gradients=1),
    "first order",
    "#0072B2",
    needs_replay=True,
    is_conditional=True,
)
