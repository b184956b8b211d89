"""What there is to say of an explained image: as data for machines, and as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from shapleycam.explanations.explanation import Explanation

_LINEAR, _LITTLE, _SOME = 1e-6, 0.1, 0.3
"""Curvature below which the head is linear, or bent a little, or somewhat."""


def facts_of(found: Sequence[dict[str, Explanation]], index: int, model: str, files: Sequence[str]) -> dict[str, Any]:
    """One image's facts; `found` has all methods' explanations for each class that was explained."""
    from shapleycam.models.labels import class_name

    first = next(iter(found[0].values()))
    probabilities = first.probabilities(index)
    pairs = [] if probabilities is None else sorted(enumerate(probabilities.tolist()), key=lambda pair: -pair[1])[:5]
    return {
        "top": [{"class": c, "label": class_name(c, first.labels), "probability": p} for c, p in pairs],
        "explained": [_class_facts(explanations, index) for explanations in found],
        "model": model,
        "layer": first.layer,
        "utility": first.utility_name,
        "files": list(files),
    }


def lines_of(facts: dict[str, Any]) -> dict[str, str]:
    """The facts as words and values; evidence and curvature are the first method's."""
    ranked = ", ".join(f"{row['label']} {row['probability']:.1%}" for row in facts["top"])
    lines = {"top 5": ranked} if ranked else {}
    for number, row in enumerate(facts["explained"], start=1):
        index = "" if row["label"] == f"class {row['class']}" else f" (class {row['class']})"
        what = f"{row['label']}{index}, {facts['utility']} {row['utility_value']:.4g}"
        lines["explained" if number == 1 else f"  and {number}"] = f"{what}; {row['evidence']}"
    lines["layer"] = f"{facts['layer']} of {facts['model']}"
    lines["curvature"] = curvature_in_words(facts["explained"][0]["curvature"])
    if facts["explained"][0]["uncertainty"]:
        lines["sampled"] = _sampled(facts["explained"][0]["uncertainty"])
    lines["written"] = ", ".join(facts["files"])
    return lines


def _class_facts(explanations: dict[str, Explanation], index: int) -> dict[str, Any]:
    from shapleycam.explanations.evidence import where

    first = next(iter(explanations.values()))
    return {
        "class": int(first.target[index]),
        "label": first.label(index),
        "utility_value": float(first.utility[index]),
        "curvature": None if first.curvature is None else float(first.curvature[index]),
        "evidence": where(first.values[index]),
        "values": {name: explanation.values[index].tolist() for name, explanation in explanations.items()},
        "uncertainty": {
            name: _uncertainty(e.values[index], e.stderr[index])
            for name, e in explanations.items()
            if e.stderr is not None
        },
    }


def _uncertainty(values: Tensor, stderr: Tensor) -> dict[str, Any]:
    size = float(values.norm())
    return {
        "relative": float(stderr.norm()) / size if size else 0.0,
        "not_sure": float((stderr > values.abs()).float().mean()),
        "stderr": stderr.tolist(),
    }


def _sampled(uncertainty: dict[str, dict[str, Any]]) -> str:
    return "; ".join(
        f"{name} to {found['relative']:.1%}, not sure of the sign on {found['not_sure']:.0%} of the cells"
        for name, found in uncertainty.items()
    )


def curvature_in_words(curvature: float | None) -> str:
    """How much of the score first order leaves out."""
    if curvature is None:
        return "not available: no second derivative here"
    if curvature < _LINEAR:
        return "0.00: the head is linear here, second order equals first"
    strength = "little" if curvature < _LITTLE else "some" if curvature < _SOME else "much"
    return f"{curvature:.2f}: {strength} of the score is interaction between places, which first order leaves out"


def total_of(e: Explanation) -> float:
    """What the values of one image sum to, prefix tokens included."""
    return float(e.values[0].sum()) + (0.0 if e.prefix is None else float(e.prefix[0]))


def gap_of(e: Explanation, grand: float) -> float | None:
    """|Σφ̂ - v(N)| / |v(N)|; None for a method whose values have other units, and where there is nothing to divide."""
    from shapleycam.cams.table import METHODS

    if not METHODS[e.method].in_units or grand == 0:
        return None
    return abs(total_of(e) - grand) / abs(grand)
