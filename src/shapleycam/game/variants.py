"""Variants of a game, with changed images or another utility, and proofs about head and utility together."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.affine_utility import is_affine
from shapleycam.game.game import Game
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.passes import trace_changed
from shapleycam.utilities import Utility


def game_of_images(game: Game, images: Float[Tensor, "b *image"]) -> Game:
    """Return the same game for changed images, one for each of its own images, from a traced pass of the model.

    A changed image keeps the class, the utility's data, the players and the further inputs of its original. The game
    has derivatives at the activation only, since its pass is not recorded for replay.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.game.variants import game_of_images
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.Flatten(), torch.nn.Linear(16, 2))
        >>> game = Explainer(model, layer="0", device="cpu").game(torch.rand(1, 3, 8, 8), target=1)
        >>> game_of_images(game, game.images + 0.1).gradient().shape
        torch.Size([1, 4, 2, 2])
    """
    return game.variant(trace_changed(game.trace, images), game.utility)


def game_with_utility(game: Game, utility: Utility) -> Game:
    """Return the game of the same pass with another utility, which must read the output in the same form.

    Raises:
        OptionError: the utility reads another form of the output.
    """
    if utility.reads != game.trace.utility_input:
        raise OptionError(
            f"utility {utility.name!r} reads {utility.reads}, and that of the game, {game.utility.name!r}, "
            f"{game.utility.reads}; explain a utility of classes, such as 'logit'"
        )
    return game.variant(game.trace, utility)


@restore_when_interrupted
def is_linear_in_mean(game: Game) -> bool:
    """Return whether the utility is proven to be an affine function of the activation's mean over positions."""
    if not game.structure.reads_mean:
        return False
    first = torch.zeros(1, dtype=torch.long, device=game.target.device)
    return is_affine(lambda row: game.utility(game.trace.head(row, first), game.target[:1], first), game.activation[:1])
