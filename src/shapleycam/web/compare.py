"""The second tab: several methods side by side, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from shapleycam.cams.compute import Effort
from shapleycam.cams.table import METHODS, expand
from shapleycam.errors import DerivativeError
from shapleycam.explanation import Explanation
from shapleycam.look import Look
from shapleycam.values.permutation import Progress
from shapleycam.web import markup
from shapleycam.web.markup import text
from shapleycam.web.question import Question
from shapleycam.words import where


@torch.no_grad()
def compared(question: Question, which: str, progress: Progress | None = None) -> str:
    """Each method's map, which a click enlarges, and where it sees the evidence; `which` is a method or a set."""
    look = question.look(which)
    found = by_all(look, question, [which], progress)
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
    look: Look, question: Question, methods: Sequence[str], progress: Progress | None = None
) -> dict[str, Explanation]:
    """The explanations by all methods that the model allows: without second derivatives, the others."""
    effort = Effort(progress=progress)
    try:
        return look.compare(methods, question.target, question.utility, effort)
    except DerivativeError:
        names = expand(methods, question.game(look).n_players)
        rest = [name for name in names if METHODS[name].derivative != "second"]
        if not rest:
            raise
        return look.compare(rest, question.target, question.utility, effort)


def _card(e: Explanation) -> str:
    phrase = where(e.values[0])
    alt = f"{e.method} heatmap of {e.sources[0].name} for {e.label()}: {phrase}"
    return markup.enlargeable(e.overlay(on="input"), alt, e.method, phrase)
