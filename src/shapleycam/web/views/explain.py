"""The first tab: what the model saw, where, how sure that answer is, and what to doubt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import torch

from shapleycam.cams.table import method_of
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import describe_curvature, gap_of_values, sum_of_values, top_classes
from shapleycam.values.options import EstimatorOptions
from shapleycam.web.caveats import caveats
from shapleycam.web.resolved import DEFAULT_METHOD, ResolvedQuestion
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, Render, View, picture_address


@dataclass(frozen=True)
class Explained:
    """An explanation of the question's image, and `grand`, what there was to divide.

    `regions` are the players where the layer's cells are not.
    """

    explanation: Explanation
    grand: float
    regions: tuple[int, int] | None


def explained(resolved: ResolvedQuestion) -> Explained:
    """Return one method's explanation, from one forward pass, or from the cache."""
    method = resolved.question.method or DEFAULT_METHOD
    made: Explained = resolved.cached(f"explained by {method}", lambda: _explain(resolved, method))
    return made


@torch.no_grad()
def _explain(resolved: ResolvedQuestion, method: str) -> Explained:
    traced_batch = resolved.trace(method, "shapleycam")  # the second for the curvature
    game = resolved.game(traced_batch)
    most = method_of(method).most_players  # where more would take too long, regions are the players
    regions = None if most is None else resolved.regions(game, isqrt(most))
    options = EstimatorOptions(players=regions, progress=resolved.progress)
    explanations = traced_batch.compare([method], resolved.target, resolved.utility, options, curvature=True)
    return Explained(explanations[method], float(game.grand[0]), regions)


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    made = explained(resolved)
    e = made.explanation
    yield render(
        "explain.html",
        e=e,
        probability=_probability(e),
        evidence=describe_evidence(e.values[0]),
        top=top_classes(e),
        question=resolved.question,
        curvature=describe_curvature(None if e.curvature is None else float(e.curvature[0])),
        grand=made.grand,
        total=sum_of_values(e),
        gap=gap_of_values(e, made.grand),
        caveats=list(caveats(e, made.grand)),
        pictures={kind: picture_address(resolved, kind) for kind in ("photo", "heatmap", "values")},
    )


def _probability(e: Explanation) -> float | None:
    probabilities = e.probabilities(0)
    return None if probabilities is None else float(probabilities[e.target[0]])


VIEW = View("explain", "Explain", (*ABOUT_A_PHOTOGRAPH, "method"), _answer)
