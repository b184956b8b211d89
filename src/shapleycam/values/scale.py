"""Detect heads that ignore the scale of the activation, and removals for which v(N) is zero; warn of both."""

from __future__ import annotations

from shapleycam.errors import NothingToDivideWarning, ScaleInvariantHeadWarning, warn
from shapleycam.game import Game
from shapleycam.game.removal import OWN_MEAN

_CANCELS = 1e-2
"""A sum whose absolute value is below this share of the sum of absolute values is suspicious. Terms with random signs
stay above it: the sum of 512 channels is about 4%."""
_FLAT = 0.05
"""A head ignores scale if, at each of `_SCALES`, U differs from U(head(A)) by less than this share of |v(N)|."""
_SCALES = (1 / 2, 1 / 16)
"""The points on the line from R to A (as t) at which the head is evaluated. t = 1/2 is not enough: at half its contrast
a photograph often has the same score. At t = 1/16 the score has changed, unless a norm removes the scale."""


def cancels(game: Game) -> bool:
    """Return whether first-order values sum to almost zero in every image, as for a head that ignores scale.

    For a norm over positions the values cancel each other. For a norm of each position each value is almost zero, since
    its channels' products of activation and derivative cancel.
    """
    if not game.removal.is_fixed:
        return False
    products = game.layout.positions(game.contents.difference * game.gradient())
    values = products.sum(2)
    sums, sizes, of_channels = values.sum(1).abs(), values.abs().sum(1), products.abs().sum((1, 2))
    cancel = (sums <= _CANCELS * sizes) | (sizes <= _CANCELS * of_channels)
    return bool(cancel.all() and (of_channels > 0).any())


def ignores_scale(game: Game) -> bool:
    """Return whether U is the same near R as at A, but not at R (at most three head evaluations).

    Near R means t = 1/16 on the line from R to A. The middle is evaluated first, where U of most heads already differs.
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
    """Warn that v(N) is zero, so that the values sum to zero."""
    example = ", as behind a head that reads only the mean over places" if game.removal.name == OWN_MEAN.name else ""
    remedy = "removal 'mean' with reference= photographs, or removal 'zero'"
    warn(
        NothingToDivideWarning,
        f"removal {game.removal.name!r} leaves v(N) = 0 behind layer {game.layer!r} (utility {game.utility.name!r} is "
        f"the same with all places removed{example}), so the values sum to zero and say only which places add more "
        f"than the others; to divide the score use {remedy}",
    )


def warn_of_ignored_scale(game: Game) -> None:
    """Warn that derivatives are uninformative at this layer."""
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
