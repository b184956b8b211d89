"""The second tab: several methods side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shapleycam.cams.families import FAMILIES, methods_by_family
from shapleycam.cams.table import METHODS
from shapleycam.explanations.comparison import group_by_map
from shapleycam.explanations.drawn_map import DrawnMap, drawn_numbers, sign_of
from shapleycam.web.addresses import view_address
from shapleycam.web.classes import class_title
from shapleycam.web.compared import Compared, compare, methods_of
from shapleycam.web.map_stage import bar_address, evidence_in_words, shown_sentence
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, ABOUT_MAPS, Render, View, picture_address

RANDOM = "random, for comparison: it says nothing of the photograph"


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    names = methods_of(resolved.question.methods)
    for compared in compare(resolved):
        waiting = [name for name in names if name not in compared.explanations and name not in compared.refused]
        if compared.explanations:
            yield render("compare.html", waiting=waiting, **_content(resolved, compared))


def _content(resolved: ResolvedQuestion, compared: Compared) -> dict[str, Any]:
    first = next(iter(compared.explanations.values()))
    probabilities, families = first.probabilities(0), _families(resolved, compared)
    return {
        "e": first,
        "label": class_title(int(first.target[0]), first.labels),
        "other": None if resolved.against is None else class_title(resolved.against, first.labels),
        "value": float(first.utility[0]),
        "probability": None if probabilities is None else float(probabilities[first.target[0]]),
        "model": resolved.model_name,
        "count": len(compared.explanations),
        "families": families,
        "maps": sum(len(cards) for _, _, cards in families),
        "smooth": ", ".join(first.smooth),
        "bar": bar_address(resolved, "heatmap"),
        "shown": shown_sentence(resolved.style, sign_of("heatmap", resolved.style)),
        "refused": [
            (name, reason, view_address(resolved, "explain", method=name)) for name, reason in compared.refused.items()
        ],
    }


def _families(resolved: ResolvedQuestion, compared: Compared) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return the name, line and cards of each family; a map of several families is with the first of them."""
    families = {family: [row.name for row in rows] for family, rows in methods_by_family().items()}
    made = compared.explanations
    ordered = {name: made[name] for names in families.values() for name in names if name in made}
    drawn = DrawnMap(kind="heatmap", style=resolved.style)
    groups = group_by_map({name: drawn_numbers(e, drawn) for name, e in ordered.items()})
    cards = {
        family: [_card(resolved, compared, group) for group in groups if group[0] in names]
        for family, names in families.items()
    }
    return [(family, FAMILIES.get(family, ""), each) for family, each in cards.items() if each]


def _card(resolved: ResolvedQuestion, compared: Compared, names: list[str]) -> dict[str, Any]:
    e = compared.explanations[names[0]]
    height, width = e.heatmap.shape[1:]
    sign = sign_of("heatmap", resolved.style)
    evidence = RANDOM if METHODS[names[0]].is_baseline else evidence_in_words(e, sign)
    return {
        "methods": [
            (name, METHODS[name].description, view_address(resolved, "explain", method=name)) for name in names
        ],
        "evidence": evidence,
        "picture": picture_address(resolved, "card", method=names[0]),
        "alt": f"heatmap for {e.label()} by {' and '.join(names)}: {evidence}",
        "width": width,
        "height": height,
    }


VIEW = View("compare", "Compare", (*ABOUT_A_PHOTOGRAPH, "methods", *ABOUT_MAPS), _answer)
