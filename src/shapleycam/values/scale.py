"""Heads that ignore the scale of the activation, where derivatives along it say little."""

from __future__ import annotations

from shapleycam.errors import ScaleInvariantHeadWarning, warn
from shapleycam.game import Game

_CANCELS = 1e-2
"""Below this share of Σ|φ| the sum of first-order values is worth a closer look."""
_FLAT = 0.05
"""Of the way from U(head(R)) to U(head(A)): a head that has gone no further halfway ignores scale."""


def cancels(game: Game) -> bool:
    """Return whether first-order values sum to next to nothing in every image, as behind a head that ignores scale."""
    values = game.layout.positions(game.contents.difference * game.gradient()).sum(2)
    sums, sizes = values.sum(1).abs(), values.abs().sum(1)
    return bool((sums <= _CANCELS * sizes).all() and (sizes > 0).any())


def ignores_scale(game: Game) -> bool:
    """Return whether U(head(A/2)) is U(head(A)) while U(head(0)) is not (two head evaluations)."""
    full, half, empty = game.full, game.utility_at(game.contents.along(0.5)), game.empty
    gap = (full - empty).abs()
    return bool(((half - full).abs() <= _FLAT * gap).all() and (gap > 1e-6 * (1 + full.abs())).all())


def warn_of_ignored_scale(layer: str, utility: str) -> None:
    """Warn that derivatives say little at this layer."""
    warn(
        ScaleInvariantHeadWarning,
        f"what comes after layer {layer!r} ignores the scale of the activation (utility {utility!r} is the same at "
        "A/2 as at A, but not at 0, as before a norm), so derivatives along A sum to nothing, and gradient and path "
        "values only rank positions; use method 'sampledshapley', which needs no derivative, or choose a layer after "
        "the norm or one well before it (shapleycam layers MODEL)",
    )
