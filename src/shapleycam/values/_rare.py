"""Find players that change the utility so rarely that a standard error from few samples is unreliable."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.errors import ToleranceWarning, warn
from shapleycam.game import Game

_AGREE = 0.6
"""A player counts as rare if this share of the streams has the same mean to the last digit: nothing changed in them."""
_FEWEST = 5
"""Minimum number of streams for a decision."""
_ROUNDING = 1e-12
_MATERIAL = 0.01
"""Minimum standard error of such players, relative to ‖values‖, for a warning that it may be too small."""
_NEVER = (
    "changed nothing in any order that was drawn: either this is so, or there are too few orders to see it; take "
    "hundreds of them (a smaller tolerance=) to be sure"
)
_RARELY = (
    "mattered in a few of the orders alone, as a rarely pivotal voter does: the standard error may be too small there; "
    "take hundreds of them (a smaller tolerance=)"
)


def note_rare(
    game: Game,
    deviations: Float[Tensor, "b streams n"],
    is_drawn: Bool[Tensor, "b streams"],
    values: Float[Tensor, "b n"],
) -> dict[int, tuple[str, ...]]:
    """Return notes on players whose standard errors may be far too small, and warn if this affects the result.

    Args:
        game: the game of b images.
        deviations: deviations of the streams' means from the mean over all streams.
        is_drawn: whether a stream has samples.
        values: the estimates.

    Returns:
        The notes of each image that has notes.
    """
    count = is_drawn.sum(1)[:, None]
    largest = deviations.abs().amax(1)
    middle = _medians(deviations, is_drawn)
    is_same = (deviations - middle).abs() <= _ROUNDING * values.abs().amax(1)[:, None, None]
    agreeing = (is_same & is_drawn[..., None]).sum(1)
    has_content = _have_content(game)
    never = (largest == 0) & (values == 0) & has_content & (count >= _FEWEST)
    rarely = (agreeing >= _AGREE * count) & (agreeing < count) & (count >= _FEWEST)
    errors = (deviations.square().sum(1) * rarely).sum(1).div(count[:, 0] * (count[:, 0] - 1)).sqrt()
    rarely &= (errors >= _MATERIAL * values.norm(dim=1))[:, None]
    if bool(rarely.any()):
        image, player = (int(index) for index in rarely.nonzero()[0])
        warn(ToleranceWarning, f"{_counted(rarely, f'player {player} of image {image}')} {_RARELY}")
    return {
        image: tuple(
            f"{_counted(players[image], f'player {int(players[image].nonzero()[0])}')} {what}"
            for players, what in ((never, _NEVER), (rarely, _RARELY))
            if bool(players[image].any())
        )
        for image in (never | rarely).any(1).nonzero().flatten().tolist()
    }


def _medians(deviations: Float[Tensor, "b streams n"], is_drawn: Bool[Tensor, "b streams"]) -> Float[Tensor, "b 1 n"]:
    """Return the lower median over the streams with samples; NaN without any.

    It sorts, because `nanmedian` on a GPU raises under `torch.use_deterministic_algorithms(True)`.
    """
    in_order = deviations.masked_fill(~is_drawn[..., None], torch.nan).sort(1).values  # NaN last
    place = (is_drawn.sum(1) - 1).clamp(min=0).div(2, rounding_mode="floor")
    return in_order.gather(1, place[:, None, None].expand(-1, 1, deviations.shape[2]))


def _have_content(game: Game) -> Bool[Tensor, "b n"]:
    """Return for which players A differs from R; all players if the removal has no single R."""
    if not game.removal.is_fixed:
        return torch.ones(len(game.activation), game.n_players, dtype=torch.bool, device=game.activation.device)
    return game.players.totals(game.layout.positions(game.contents.difference).abs().sum(2)) > 0


def _counted(players: Bool[Tensor, "*any"], first: str) -> str:
    """Return the number of players in words; for a single player its name, `first`."""
    count = int(players.sum())
    return first if count == 1 else f"{count} players ({first}, ...)"
