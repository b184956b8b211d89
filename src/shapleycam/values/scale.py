"""Heads that ignore the scale of the activation, and removals that leave nothing to divide: both are said."""

from __future__ import annotations

from shapleycam.errors import NothingToDivideWarning, ScaleInvariantHeadWarning, warn
from shapleycam.game import Game
from shapleycam.game.removal import OWN_MEAN

_CANCELS = 1e-2
"""Below this share of Σ|φ| the sum of first-order values is worth a closer look."""
_FLAT = 0.05
"""Of the way from U(head(R)) to U(head(A)): a head that has gone no further halfway ignores scale."""


def cancels(game: Game) -> bool:
    """Return whether first-order values sum to next to nothing in every image, as behind a head that ignores scale."""
    if not game.removal.is_fixed:
        return False
    values = game.layout.positions(game.contents.difference * game.gradient()).sum(2)
    sums, sizes = values.sum(1).abs(), values.abs().sum(1)
    return bool((sums <= _CANCELS * sizes).all() and (sizes > 0).any())


def ignores_scale(game: Game) -> bool:
    """Return whether U is the same halfway from R to A as at A, while it is not at R (two head evaluations)."""
    if not game.removal.is_fixed:
        return False
    full, half, empty = game.full, game.utility_at(game.contents.along(0.5)), game.empty
    gap = (full - empty).abs()
    return bool(((half - full).abs() <= _FLAT * gap).all() and (gap > 1e-6 * (1 + full.abs())).all())


def divides_nothing(game: Game) -> bool:
    """Return whether a removal other than zero leaves v(N) = 0 in every image, up to rounding."""
    return not game.removal.is_zero and bool((game.grand.abs() <= game.rounding).all())


def warn_of_nothing_to_divide(game: Game) -> None:
    """Warn that values sum to zero, and why."""
    example = ", as behind a head that reads only the mean over places" if game.removal.name == OWN_MEAN.name else ""
    remedy = "removal 'mean' with reference= photographs, or removal 'zero'"
    warn(
        NothingToDivideWarning,
        f"removal {game.removal.name!r} leaves v(N) = 0 behind layer {game.layer!r} (utility {game.utility.name!r} is "
        f"the same with all places removed{example}), so the values sum to zero and say only which places add more "
        f"than the others; to divide the score use {remedy}",
    )


def warn_of_ignored_scale(game: Game) -> None:
    """Warn that derivatives say little at this layer."""
    places = "at A/2 as at A, but not at 0"
    if not game.removal.is_zero:
        places = f"halfway from removal {game.removal.name!r} to A as at A, but not at its beginning"
    warn(
        ScaleInvariantHeadWarning,
        f"what comes after layer {game.layer!r} ignores the scale of the activation (utility {game.utility.name!r} is "
        f"the same {places}, as before a norm), so derivatives along A sum to nothing, and gradient and path "
        "values only rank positions; use method 'sampledshapley', which needs no derivative, or choose a layer after "
        "the norm or one well before it (shapleycam layers MODEL)",
    )
