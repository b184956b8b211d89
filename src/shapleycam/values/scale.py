"""Heads that ignore the scale of the activation, and removals that leave nothing to divide: both are said."""

from __future__ import annotations

from shapleycam.errors import NothingToDivideWarning, ScaleInvariantHeadWarning, warn
from shapleycam.game import Game
from shapleycam.game.removal import OWN_MEAN

_CANCELS = 1e-2
"""Below this share of the sum of sizes a sum is worth a closer look. Terms of random signs stay above it: 512 channels
sum to 4% of their sizes."""
_FLAT = 0.05
"""Of the way from U(head(R)) to U(head(A)): a head that has gone no further at each of `_SCALES` ignores scale."""
_SCALES = (1 / 2, 1 / 16)
"""Where between R and A the head is looked at. Halfway alone is not enough: the score of a photograph at half its
contrast is often that of the whole, and falls before a sixteenth, where a norm still gives the same."""


def cancels(game: Game) -> bool:
    """Return whether first-order values sum to next to nothing in every image, as behind a head that ignores scale.

    Behind a norm over positions the values cancel each other. Behind a norm of each position by itself each value is
    nothing already, as its channels' products of activation and derivative cancel.
    """
    if not game.removal.is_fixed:
        return False
    products = game.layout.positions(game.contents.difference * game.gradient())
    values = products.sum(2)
    sums, sizes, of_channels = values.sum(1).abs(), values.abs().sum(1), products.abs().sum((1, 2))
    cancel = (sums <= _CANCELS * sizes) | (sizes <= _CANCELS * of_channels)
    return bool(cancel.all() and (of_channels > 0).any())


def ignores_scale(game: Game) -> bool:
    """Return whether U near R is what it is at A, while it is not at R (at most three head evaluations).

    Near R is a sixteenth of the way from R to A; halfway is looked at first, where most heads show that they differ.
    """
    if not game.removal.is_fixed:
        return False
    full, empty = game.full, game.empty
    gap = (full - empty).abs()
    if not bool((gap > 1e-6 * (1 + full.abs())).all()):
        return False
    between = (game.utility_at(game.contents.along(scale)) for scale in _SCALES)
    return all(bool(((utility - full).abs() <= _FLAT * gap).all()) for utility in between)


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
    places = "at A/16 as at A, but not at 0"
    if not game.removal.is_zero:
        places = f"a sixteenth of the way from removal {game.removal.name!r} to A as at A, but not at its beginning"
    warn(
        ScaleInvariantHeadWarning,
        f"what comes after layer {game.layer!r} ignores the scale of the activation (utility {game.utility.name!r} is "
        f"the same {places}, as before a norm), so derivatives along A sum to nothing, and gradient and path "
        "values only rank positions; use method 'sampledshapley', which needs no derivative, or choose a layer after "
        "the norm or one well before it (shapleycam layers MODEL)",
    )
