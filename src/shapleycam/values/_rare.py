"""Players that matter so rarely that a standard error from few samples cannot be relied on."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import ToleranceWarning, warn
from shapleycam.game import Game

_AGREE = 5
"""Of eight streams: where so many give the same number to the last digit, the player did not matter in their orders."""
_STREAMS = 8
_ROUNDING = 1e-12
_MATERIAL = 0.01
"""Standard error of such players, as a share of ‖values‖, from which on it matters that it may be too small."""


def note_rare(game: Game, deviations: Float[Tensor, "b streams n"], values: Float[Tensor, "b n"]) -> tuple[str, ...]:
    """Return notes on players whose standard errors may be far too small, and warn where one is an underestimate.

    Args:
        game: of b images.
        deviations: of the eight streams' means from the mean of all.
        values: the estimates.
    """
    largest = deviations.abs().amax(1)
    if not bool((largest > 0).any()):
        return ()
    middle = deviations.median(1, keepdim=True).values
    agreeing = ((deviations - middle).abs() <= _ROUNDING * values.abs().amax(1)[:, None, None]).sum(1)
    notes = []
    has_content = game.players.totals(game.layout.positions(game.contents.difference).abs().sum(2)) > 0
    never = (largest == 0) & (values == 0) & has_content
    if bool(never.any()):
        notes.append(
            f"{_counted(never)} changed nothing in any order that was drawn: either this is so, or there are too few "
            "orders to see it; give orders= in the hundreds to be sure"
        )
    rarely = (agreeing >= _AGREE) & (agreeing < _STREAMS)
    errors = (deviations.square().sum(1) * rarely).sum(1).div(_STREAMS * (_STREAMS - 1)).sqrt()
    rarely &= (errors >= _MATERIAL * values.norm(dim=1))[:, None]
    if bool(rarely.any()):
        notes.append(
            f"{_counted(rarely)} mattered in a few of the orders alone, as a rarely pivotal voter does: the standard "
            "error may be too small there; give orders= in the hundreds"
        )
        warn(ToleranceWarning, notes[-1])
    return tuple(notes)


def _counted(players: Bool[Tensor, "b n"]) -> str:
    image, player = (int(index) for index in players.nonzero()[0])
    count = int(players.sum())
    first = f"player {player} of image {image}"
    return first if count == 1 else f"{count} players ({first}, ...)"
