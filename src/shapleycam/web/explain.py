"""The first tab: what the model saw, where, how sure that answer is, and what to doubt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from math import isqrt
from pathlib import PurePath
from typing import Any

import torch

from shapleycam.cams.table import method_of
from shapleycam.drawing.data_uri import encode_picture
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import (
    describe_curvature,
    gap_of_values,
    sum_of_values,
    summarise_image,
    top_classes,
)
from shapleycam.values._permutation import Progress
from shapleycam.values.options import EstimatorOptions
from shapleycam.web import markup
from shapleycam.web.markup import text
from shapleycam.web.question import Question
from shapleycam.web.trust import doubts


@dataclass(frozen=True)
class Explained:
    """An explanation of the question's image, and `grand`, what there was to divide.

    `regions` are the players where the layer's cells are not.
    """

    explanation: Explanation
    grand: float
    model: str
    regions: tuple[int, int] | None

    @property
    def top(self) -> list[tuple[str, str]]:
        """The likeliest classes: what to show, and the entry of the list of classes."""
        classes = top_classes(self.explanation)
        return [(f"{each.label} {each.probability:.1%}", f"{each.number}: {each.label}") for each in classes]


@torch.no_grad()
def explained(question: Question, method: str, progress: Progress | None = None) -> Explained:
    """One method's explanation, from one forward pass."""
    traced_batch = question.trace(method, "shapleycam")  # the second for the curvature
    most = method_of(method).most_players  # where more would take too long, regions are the players
    regions = None if most is None else question.regions(traced_batch, isqrt(most))
    options = EstimatorOptions(players=regions, progress=progress)
    found = traced_batch.compare([method], question.target, question.utility, options, curvature=True)
    game = question.game(traced_batch)
    return Explained(found[method], float(game.grand[0]), question.model, regions)


def shown(found: Explained) -> str:
    """It, as the page shows it."""
    e = found.explanation
    return (
        f'<article class="sc-view" style="--shade:.75">{_answer(e)}'
        f'<div class="sc-pair">{_heat(e)}{_signed(e)}</div>{_slider()}'
        f"{''.join(map(markup.hint, doubts(e, found.grand)))}{markup.facts(_facts(found))}{_downloads(found)}</article>"
    )


def _answer(e: Explanation) -> str:
    probabilities = e.probabilities(0)
    sure = "" if probabilities is None else f" {float(probabilities[e.target[0]]):.1%}"
    sentence = f"{describe_evidence(e.values[0])}."
    return (
        f'<p class="sc-answer"><strong>{text(e.label())}</strong>{sure}, {text(e.utility_name)} '
        f"{float(e.utility[0]):.4g}</p><p class='sc-where'>{text(sentence[0].upper() + sentence[1:])}</p>"
    )


def _heat(e: Explanation) -> str:
    bar = markup.colour_bar(signed=False, low="least", high="most", what="evidence for the class, scaled to this image")
    return _figure(e, "heatmap", "Heatmap", bar)


def _signed(e: Explanation) -> str:
    largest = float(e.values[0].abs().max())
    ends = {"low": f"−{largest:.2g}", "high": f"+{largest:.2g}"}
    return _figure(e, "values", "Signed map", markup.colour_bar(signed=True, what=_unit(e), **ends))


def _unit(e: Explanation) -> str:
    return f"share of the score a place, in units of {e.utility_name}"


def _figure(e: Explanation, kind: Any, title: str, bar: str) -> str:
    """The photograph with colours over it whose opacity the page can change."""
    alt = f"{title} of {e.sources[0].name} for {e.label()} by {e.method}: {describe_evidence(e.values[0])}"
    left, top, width, height = _place(e)
    place = f"left:{left:.3%};top:{top:.3%};width:{width:.3%};height:{height:.3%}"
    base, shade = markup.picture_uri(e.overlay(opacity=0)), markup.picture_uri(e.shade(0, kind))
    return (
        f'<figure class="sc-map"><div class="sc-stack"><img src="{base}" alt="{text(alt)}">'
        f'<img class="sc-shade" data-kind="{kind}" src="{shade}" alt="" style="{place}"></div>'
        f"{bar}<figcaption>{text(title)}</figcaption></figure>"
    )


def _place(e: Explanation) -> tuple[float, float, float, float]:
    """Where the network's crop lies in what is shown, as fractions: left, top, width, height."""
    source = e.sources[0]
    if source.photo is None or source.box is None or not hasattr(source.photo, "size"):
        return 0, 0, 1, 1
    across, down = source.photo.size
    left, top, right, bottom = source.box
    return left / across, top / down, (right - left) / across, (bottom - top) / down


def _slider() -> str:
    return (
        '<label class="sc-slider">opacity of the colours <input type="range" min="0" max="1" step="0.05" value="0.75" '
        "oninput=\"this.closest('.sc-view').style.setProperty('--shade', this.value)\"></label>"
    )


def _facts(found: Explained) -> Iterable[tuple[str, object]]:
    e = found.explanation
    yield "model", f"{found.model}, layer {e.layer}, method {e.method}"
    yield "curvature", describe_curvature(None if e.curvature is None else float(e.curvature[0]))
    gap = gap_of_values(e, found.grand)
    total = "the values have other units" if gap is None else f"they sum to {sum_of_values(e):.4g}"
    off = "" if gap is None else f": efficiency gap {gap:.1%}"
    yield "efficiency", f"{found.grand:.4g} of {e.utility_name} to divide, {total}{off}"
    if e.prefix is not None:
        yield "prefix tokens", f"{float(e.prefix[0]):.3g} of that, which has no place in the image"
    if found.regions is not None:
        yield (
            "players",
            f"{found.regions[0]} x {found.regions[1]} regions: the layer has more places than can be played",
        )
    if e.stderr is not None:
        relative = float(e.stderr[0].norm() / e.values[0].norm())
        yield "standard error", f"{relative:.1%} of the values"


def _downloads(found: Explained) -> str:
    e = found.explanation
    stem = f"{PurePath(e.sources[0].name).stem}_{e.method}"
    numbers = BytesIO()
    e.write(numbers)
    summary = summarise_image([{e.method: e}], 0, found.model)
    facts = {"image": e.sources[0].name, **summary.as_data(), "to_divide": found.grand}
    document = json.dumps(facts, indent=2, ensure_ascii=False).encode()
    links = (
        markup.download(f"{stem}.png", encode_picture(e.overlay(), "PNG"), "image/png", "PNG"),
        markup.download(f"{stem}.npz", numbers.getvalue(), "application/octet-stream", "NPZ"),
        markup.download(f"{stem}.json", document, "application/json", "JSON"),
    )
    return f'<p class="sc-downloads">download: {" ".join(links)}</p>'
