"""Refuse methods that take more runs of the head than the limit."""

from __future__ import annotations

from collections.abc import Iterable

from shapleycam.cams.bases import EXACT, SAMPLED
from shapleycam.cams.method import Method
from shapleycam.errors import OptionError
from shapleycam.game import Game

_MOST_WRITTEN = 40
"""Maximum number of players whose number of coalitions is written out in digits."""
TYPICAL_ORDERS = 256
"""Random orders for a standard error of 10%: 160 to 480 were measured at the input of the default network, with about
50 players and removal blur or zero."""


def check_runs(game: Game, methods: Iterable[Method], limit: int | None, runs: int | None = None) -> None:
    """Refuse methods whose values of the game's players take more runs of the head than `limit`.

    `runs` is the number of runs that the user allows; it also limits runs of the whole model.

    Raises:
        OptionError: naming the first such method.

    Examples:
        >>> import shapleycam, torch
        >>> from shapleycam.cams.run_check import check_runs
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> explainer = shapleycam.Explainer(torch.nn.Sequential(*layers), layer="input")
        >>> game = explainer.game(torch.rand(1, 3, 8, 8), players=(2, 2))
        >>> check_runs(game, [shapleycam.METHODS["exactshapley"]], 16)
    """
    for row in methods:
        reason = beyond_passes(row, game, runs) or beyond_runs(row, game, limit)
        if reason is not None:
            raise OptionError(f"method {row.name!r} {reason}")


def beyond_runs(row: Method, game: Game, limit: int | None) -> str | None:
    """Return why a method takes more runs of the head than the limit; None if it does not."""
    if limit is None or row.fits(game.n_players, limit // game.runs_per_coalition):
        return None
    fewer = (
        "make fewer regions the players" if game.players.are_regions else "make regions the players, players=(7, 7) say"
    )
    run = "the whole model" if game.is_at_input else "what comes after it"
    runs = "a run" if game.runs_per_coalition == 1 else f"{game.runs_per_coalition} runs"
    of_runs = "" if game.runs_per_coalition == 1 else " runs in all"
    return (
        f"takes {_needed(row, game.n_players)} with {game.n_players:,} players at layer {game.layer!r}, each {runs} of "
        f"{run}; expected at most {limit:,}{of_runs}: {fewer}, or allow more with runs="
    )


def beyond_passes(row: Method, game: Game, runs: int | None) -> str | None:
    """Return why a method takes more runs of the whole model than a user's `runs`; None if it does not.

    The number of runs of a method of changed images is fixed by the method.

    Examples:
        >>> import shapleycam, torch
        >>> from shapleycam.cams.run_check import beyond_passes
        >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2)
        >>> game = shapleycam.Explainer(torch.nn.Sequential(*layers), layer="0").game(torch.rand(1, 3, 8, 8))
        >>> beyond_passes(shapleycam.METHODS["rise"], game, 50)[:52]
        'takes 1,000 runs of the whole model, on changed imag'
    """
    passes = row.basis.cost_of(game.n_players, channels=game.n_channels).model_passes
    if runs is None or passes <= runs:
        return None
    return (
        f"takes {passes:,} runs of the whole model, on changed images, and no fewer; expected at most {runs:,}: allow "
        f"{passes:,} with runs=, or choose another method"
    )


def _needed(row: Method, players: int) -> str:
    """Return in words how many coalitions a method evaluates."""
    if row.basis is EXACT and players > _MOST_WRITTEN:
        return f"2^{players} coalitions"
    fewest = 0 if row.basis.fewest_runs is None else row.basis.fewest_runs(players)
    typical = f", and to a standard error of 10% about {TYPICAL_ORDERS * (players - 1):,},"
    more = typical if row.basis is SAMPLED else ""
    return f"{fewest:,} coalitions at least{more}"
