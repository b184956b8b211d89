"""The maximum number of runs of the head for the values of one image.

At layer "input" the head is the whole model, so that there is a limit by default.
"""

from __future__ import annotations

from shapleycam.game import Game
from shapleycam.values.options import EstimatorOptions

RUNS_AT_INPUT = 1000
"""Default limit of runs for each image at layer "input"."""


def run_limit(game: Game, options: EstimatorOptions) -> int | None:
    """Return the maximum number of runs of the head for the values of one image; None for no limit.

    There is no limit if a shortcut evaluates coalitions, since then a coalition takes no run of the head.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.values import EstimatorOptions
        >>> from shapleycam.values.run_limit import run_limit
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = Explainer(torch.nn.Sequential(*layers), layer="input").game(torch.rand(1, 3, 8, 8), players=(2, 2))
        >>> run_limit(game, EstimatorOptions()), run_limit(game, EstimatorOptions(runs=50))
        (1000, 50)
    """
    limit = options.runs if options.runs is not None else RUNS_AT_INPUT if game.is_at_input else None
    is_cheap = limit is not None and game.trace.is_recorded and game.shortcut is not None
    return None if is_cheap else limit
