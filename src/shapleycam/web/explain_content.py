"""The content of the first tab for an explanation: sentences, facts, the likeliest classes, and links."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import hypot
from typing import Any

from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.explanations.drawn_map import DrawnMap, largest_size, sign_of
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.image_summary import describe_curvature
from shapleycam.explanations.summary import gap_of_values, sum_of_values, top_classes
from shapleycam.smoothing import SMOOTHINGS
from shapleycam.web.addresses import view_address
from shapleycam.web.caveats import GAP, Caveat, caveats
from shapleycam.web.classes import class_choice, class_title
from shapleycam.web.downloads import download_links
from shapleycam.web.explained import Explained
from shapleycam.web.map_stage import map_stage, utility_word
from shapleycam.web.question_boxes import REMOVALS
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.sampling_content import further_runs
from shapleycam.wording import measured_count, number, percent, signed

_CLOSE, _SURE = 0.5, 0.8
"""Above this share of the first class's probability the second is close; above this probability the first is sure."""
Fact = tuple[str, str, str | None]
"""The name of a fact, its text, and the term of the glossary that explains it."""


@dataclass(frozen=True)
class LikelyClass:
    """A class, its probability, the address that explains it, and the address `why`: the explained class against it."""

    number: int
    label: str
    probability: float
    address: str
    why: str
    is_explained: bool
    is_other: bool


def explain_content(resolved: ResolvedQuestion, made: Explained) -> dict[str, Any]:
    """Return the content for the template of the first tab."""
    e = made.explanation
    probabilities = e.probabilities(0)
    label = class_title(int(e.target[0]), e.labels)
    other = None if made.against is None else class_title(made.against, e.labels)
    return {
        "e": e,
        "label": label,
        "other": other,
        "unit": utility_word(e),
        "value": float(e.utility[0]),
        "probability": None if probabilities is None else float(probabilities[e.target[0]]),
        "odds": _odds(e, made.against),
        "certainty": _certainty(e) if other is None else None,
        "classes": _likely_classes(resolved, e, made.against),
        "swap": _swap_address(resolved, e, made.against),
        "alone": view_address(resolved, "explain", against=""),
        "evidence": _sentence(describe_evidence(e.values[0])),
        "regions": _regions(made),
        "sampling": further_runs(resolved, made),
        "caveats": [(caveat.text, _by_methods(resolved, caveat.methods)) for caveat in _caveats(resolved, made)],
        "trust": _trust(e, made.grand),
        "maps": [map_stage(resolved, e, kind) for kind in ("heatmap", "values")],
        "largest": largest_size(e, DrawnMap(kind="values", style=resolved.style)),
        "in_units": e.divides_score,
        "facts": _facts(resolved, made, label, other),
        "downloads": download_links(resolved, e, made.against),
    }


def odds_in_words(first: float, second: float) -> tuple[bool, str]:
    """Return whether the first of two probabilities is the larger one, and in words by which factor they differ.

    Examples:
        >>> from shapleycam.web.explain_content import odds_in_words
        >>> odds_in_words(0.24, 0.2), odds_in_words(0.01, 0.5)
        ((True, '1.2 times as likely'), (False, '50 times as likely'))
    """
    larger, smaller = max(first, second), min(first, second)
    if smaller <= 0:
        return first >= second, "far likelier"
    ratio = larger / smaller
    times = measured_count(ratio)
    return first >= second, "as likely" if ratio < 1.005 else f"{times} times as likely"


def _odds(e: Explanation, against: int | None) -> tuple[bool, str] | None:
    """Return the odds of the two classes; None without a second class, and if several classes may apply at once."""
    probabilities = e.probabilities(0)
    if against is None or probabilities is None or _is_multi_label(e):
        return None
    return odds_in_words(float(probabilities[e.target[0]]), float(probabilities[against]))


def _is_multi_label(e: Explanation) -> bool:
    """Return whether several classes may apply to an image at once."""
    return e.form == "sigmoid logits" or e.utility_name.startswith("sigmoid")


def _certainty(e: Explanation) -> str | None:
    """Return a sentence that compares the predicted class with the second; None if another class is explained."""
    top = top_classes(e)
    if len(top) < 2 or top[0].number != int(e.target[0]) or _is_multi_label(e):
        return None
    first, second = top[0].probability, top[1].probability
    follower = f"{class_title(top[1].number, e.labels)} with {percent(second)}."
    if second > _CLOSE * first:
        return f"The model itself is not sure: close behind comes {follower}"
    return f"The model is sure of it: next comes {follower}" if first > _SURE else f"Next comes {follower}"


def _likely_classes(resolved: ResolvedQuestion, e: Explanation, against: int | None) -> list[LikelyClass]:
    """Return the likeliest classes, and the explained classes if they are not among them."""
    probabilities, explained = e.probabilities(0), int(e.target[0])
    if probabilities is None:
        return []
    numbers = [each.number for each in top_classes(e)]
    numbers += [each for each in (explained, against) if each is not None and each not in numbers]
    target = class_choice(explained, e.labels)
    return [
        LikelyClass(
            number=each,
            label=class_title(each, e.labels),
            probability=float(probabilities[each]),
            address=view_address(resolved, "explain", target=class_choice(each, e.labels), against=""),
            why=view_address(resolved, "explain", target=target, against=class_choice(each, e.labels)),
            is_explained=each == explained,
            is_other=each == against,
        )
        for each in numbers
    ]


def _swap_address(resolved: ResolvedQuestion, e: Explanation, against: int | None) -> str | None:
    if against is None:
        return None
    target, other = class_choice(against, e.labels), class_choice(int(e.target[0]), e.labels)
    return view_address(resolved, "explain", target=target, against=other)


def _by_methods(resolved: ResolvedQuestion, methods: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, view_address(resolved, "explain", method=name)) for name in methods]


def _caveats(resolved: ResolvedQuestion, made: Explained) -> Iterator[Caveat]:
    return caveats(made.explanation, made.grand, sign_of("heatmap", resolved.style))


def _sentence(phrase: str) -> str:
    return f"{phrase[0].upper()}{phrase[1:]}."


def _trust(e: Explanation, grand: float) -> str | None:
    """Return a sentence that supports the map; None if there was nothing to check, or a caveat says the opposite."""
    gap = gap_of_values(e, grand)
    if gap is None or gap > GAP:
        return None
    if gap < 0.005:
        return "The values of all places add up to the whole score, so that their shares can be compared."
    return f"The values of all places add up to the score within {percent(gap)}, so that their shares can be compared."


def _regions(made: Explained) -> str | None:
    """Return a sentence about regions as players; None if the players are the layer's places."""
    if made.regions is None:
        return None
    rows, columns = made.explanation.values.shape[1:]
    cost = "these are sampled" if made.explanation.stderr is not None else "each is computed by itself"
    if made.has_no_error:
        cost = "these are exact"
    if made.are_exact:
        cost = f"these are exact, over all {2**made.players:,} coalitions of them"
    return (
        f"The map has {made.regions}, each with a value that its places share evenly; {cost}. "
        f"The layer's {rows} x {columns} places by themselves would take too long."
    )


def _players(made: Explained) -> str:
    """Return the players in words."""
    rows, columns = made.explanation.values.shape[1:]
    if made.regions is None:
        return f"{rows} x {columns}, the layer's places"
    return f"{made.regions} of the layer's {rows} x {columns} places"


def _relative_error(e: Explanation, stderr: Tensor) -> float:
    """Return the standard error as a share of the values; for regions as players, those of the regions."""
    regions = [(each.value, each.stderr or 0.0) for each in e.region_values(0)]
    if not regions:
        return float(stderr.norm() / e.values[0].norm().clamp(min=1e-30))
    return hypot(*(error for _, error in regions)) / (hypot(*(value for value, _ in regions)) or 1e-30)


def _facts(resolved: ResolvedQuestion, made: Explained, label: str, other: str | None) -> list[Fact]:
    e = made.explanation
    unit = f"{utility_word(e)} of {label} against {other}" if other else utility_word(e)
    value = signed(float(e.utility[0])) if other else number(float(e.utility[0]))
    gap = gap_of_values(e, made.grand)
    total = "the values have other units" if gap is None else f"the values sum to {number(sum_of_values(e))}"
    facts: list[Fact] = [
        ("What is explained", f"{unit}: {value}", "log-odds" if other else "utility"),
        ("What there is to divide", f"{number(made.grand)}, {total}", "v(N)"),
    ]
    facts.append(("What stands in for absent places", f"{e.removal}: {REMOVALS[resolved.removal]}", "removal"))
    if e.utility_removed is not None:
        left = number(float(e.utility_removed[0]))
        facts.append(("What the model makes of a photograph with everything removed", f"{left} of {unit}", None))
    if e.smooth:
        lines = "; ".join(f"{name}: {SMOOTHINGS[name].summary}" for name in e.smooth)
        facts.append(("Smoothing", f"{lines}; the values divide no score", "smoothing"))
    if gap is not None:
        facts.append(("Efficiency gap", percent(gap, 1), "efficiency gap"))
    if e.stderr is not None:
        relative = _relative_error(e, e.stderr[0])
        facts.append(("Standard error", f"{percent(relative, 1)} of the values", "standard error"))
    curvature = None if e.curvature is None else float(e.curvature[0])
    facts.append(("Curvature", describe_curvature(curvature), "curvature"))
    if e.prefix is not None:
        facts.append(("Prefix tokens", f"{number(float(e.prefix[0]), 3)} of the score", "prefix tokens"))
    facts.append(("Players", _players(made), "player"))
    facts.append(("Method", f"{e.method}: {METHODS[e.method].description}", "method"))
    facts.append(("Model and layer", f"{resolved.model_name}, {e.layer}", "layer"))
    return facts
