"""The second tab: several methods side by side, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import DerivativeError
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.values._permutation import Progress
from shapleycam.values.options import EstimatorOptions
from shapleycam.web import markup
from shapleycam.web.markup import text
from shapleycam.web.question import Question


@torch.no_grad()
def compared(question: Question, which: str, progress: Progress | None = None) -> str:
    """Each method's map, which a click enlarges, and where it sees the evidence; `which` is a method or a set."""
    traced_batch = question.trace(which)
    found = by_all(traced_batch, question, [which], progress)
    first = next(iter(found.values()))
    cards = "".join(_card(e) for e in found.values())
    asked = f" against {question.against_text}" if question.against_text else ""
    return (
        f'<article class="sc-view"><p class="sc-answer"><strong>{text(first.label())}</strong>{text(asked)}, '
        f"{text(first.utility_name)} {float(first.utility[0]):.4g}</p>"
        f'<p class="sc-where">{len(found)} methods, one forward pass, layer {text(first.layer)} of '
        f'{text(question.model)}. Choose a map to enlarge it.</p><div class="sc-grid">{cards}</div></article>'
    )


def by_all(
    traced_batch: TracedBatch, question: Question, methods: Sequence[str], progress: Progress | None = None
) -> dict[str, Explanation]:
    """The explanations by all methods that the model allows: without second derivatives, the others."""
    options = EstimatorOptions(progress=progress)
    try:
        return traced_batch.compare(methods, question.target, question.utility, options)
    except DerivativeError:
        names = expand_methods(methods, question.game(traced_batch).n_players)
        rest = [name for name in names if not METHODS[name].basis.needs_second_derivatives]
        if not rest:
            raise
        return traced_batch.compare(rest, question.target, question.utility, options)


def _card(e: Explanation) -> str:
    phrase = describe_evidence(e.values[0])
    alt = f"{e.method} heatmap of {e.sources[0].name} for {e.label()}: {phrase}"
    return markup.enlargeable(e.overlay(on="input"), alt, e.method, phrase)
