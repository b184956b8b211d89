"""What there is to know about a valid result: blank maps, no curvature, heads that ignore scale."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import (
    BlankHeatmapWarning,
    NoCurvatureWarning,
    ScaleInvariantHeadWarning,
    ShapleyCamWarning,
)
from shapleycam.explanation import Explanation
from shapleycam.game import Game
from shapleycam.heatmaps import blank

_NOT_THE_CALLERS = (str(Path(__file__).parent), str(Path(torch.__file__).parent))
"""Our own code, and torch's, whose decorators lie between."""
_CANCELS = 1e-2
"""Below this share of Σ|φ| the sum of first-order values is worth a closer look."""
_FLAT = 0.05
"""Of the way from U(head(0)) to U(head(A)): a head that has gone no further at A/2 ignores scale."""


def warn(category: type[ShapleyCamWarning], message: str) -> None:
    """Warn at the line of the caller's own code."""
    level, frame = 1, sys._getframe()  # noqa: SLF001
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_NOT_THE_CALLERS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def about_blank(explanation: Explanation) -> None:
    """Warn of each heatmap that is zero everywhere, with the reason."""
    for index in blank(explanation.values).nonzero().flatten().tolist():
        warn(BlankHeatmapWarning, _blank_reason(explanation, index))


def about_curvature(curvature: Float[Tensor, " b"], layer: str, utility: str) -> None:
    """Warn where the second-order methods equal the first-order ones for the whole batch."""
    if float(curvature.max()) < 1e-6:
        remedy = "an earlier layer" if utility == "rest" else "utility 'rest' or an earlier layer"
        warn(
            NoCurvatureWarning,
            f"utility {utility!r} has no curvature behind layer {layer!r} (H·A = 0), so shapleycam equals gradcam "
            f"there, shapleycam-h hirescam and so on; for a second order choose {remedy}",
        )


def cancels(game: Game) -> bool:
    """Whether first-order values sum to next to nothing in every image, as behind a head that ignores scale."""
    values = game.layout.positions(game.activation * game.gradient()).sum(2)
    sums, sizes = values.sum(1).abs(), values.abs().sum(1)
    return bool((sums <= _CANCELS * sizes).all() and (sizes > 0).any())


def ignores_scale(game: Game) -> bool:
    """Whether U(head(A/2)) is U(head(A)) while U(head(0)) is not (two head evaluations)."""
    full, half, empty = game.full, game.at(game.activation / 2), game.at(game.activation * 0)
    gap = (full - empty).abs()
    return bool(((half - full).abs() <= _FLAT * gap).all() and (gap > 1e-6 * (1 + full.abs())).all())


def about_scale(layer: str, utility: str) -> None:
    """Warn that derivatives say little at this layer."""
    warn(
        ScaleInvariantHeadWarning,
        f"what comes after layer {layer!r} ignores the scale of the activation (utility {utility!r} is the same at "
        "A/2 as at A, but not at 0, as before a norm), so derivatives along A sum to nothing, and gradient and path "
        "values only rank positions; choose a layer after the norm, or one well before it (shapleycam layers MODEL)",
    )


def _blank_reason(explanation: Explanation, index: int) -> str:
    smallest, largest = (float(value) for value in explanation.values[index].aminmax())
    if smallest < 0 and largest <= 0:
        reason = "no position speaks for the class; look at the signed values, or explain another class"
    elif largest == 0:
        utility = explanation.utility_name
        untried = [
            *(["method 'hirescam'"] if explanation.method != "hirescam" else []),
            *(["utility 'rest'"] if utility != "rest" else []),
            "another layer",
        ]
        found = f"every value is zero: nothing speaks for the class, or utility {utility!r} is flat here"
        reason = f"{found}; try {' or '.join(untried)}"
    else:
        reason = "all positions have the same value; choose a layer with a finer grid"
    name, label = explanation.sources[index].name, explanation.label(index)
    return f"{name}: the {explanation.method} heatmap for {label!r} is blank: {reason}"
