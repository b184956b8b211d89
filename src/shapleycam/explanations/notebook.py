"""Explanations and comparisons as notebooks show them: HTML with embedded pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shapleycam.drawing.data_uri import picture_data_uri
from shapleycam.explanations.drawn_map import DrawnMap, of_kind
from shapleycam.explanations.figures import map_bar, map_title
from shapleycam.explanations.pictures import overlay
from shapleycam.wording import number, precision_phrase, removal_phrase, smoothing_phrase

if TYPE_CHECKING:
    from shapleycam.explanations.explanation import Explanation

_MOST_IMAGES, _MOST_COMPARED = 8, 4
"""So many images at most are shown of an explanation, and of a comparison."""
_LONGEST, _LONGEST_COMPARED = 640, 320
"""Pixels of a picture, which the notebook shows half as large."""
_SCOPE = "shapleycam"
"""The class of the element that has the style sheet, which is for nothing else on the notebook's page."""


def explanation_html(explanation: Explanation) -> str:
    """Return the overlays of the first images with what was explained of them."""
    count = len(explanation)
    drawn = of_kind([explanation], DrawnMap())
    figures = [_figure(explanation, index, drawn, _LONGEST, "PNG") for index in range(min(count, _MOST_IMAGES))]
    bar = map_bar([explanation[index] for index in range(len(figures))], drawn)
    return _render("explanation.html", figures=figures, bar=bar, more=max(0, count - _MOST_IMAGES))


def comparison_html(comparison: Mapping[str, Explanation]) -> str:
    """Return the first images, each by all methods side by side."""
    if not comparison:
        return "<p>no methods</p>"
    explanations = list(comparison.values())
    count, drawn = len(explanations[0]), of_kind(explanations, DrawnMap())
    bar = map_bar([explanation[0] for explanation in explanations], drawn)
    rows = [
        [_figure(explanation, index, drawn, _LONGEST_COMPARED, "JPEG", quality=85) for explanation in explanations]
        for index in range(min(count, _MOST_COMPARED))
    ]
    return _render("comparison.html", rows=rows, bar=bar, more=max(0, count - _MOST_COMPARED))


def _render(template: str, **content: Any) -> str:
    """Return a template with the components and the style sheet that the page and reports have as well."""
    from markupsafe import Markup

    from shapleycam.html import scoped_style, template_environment

    style = Markup(scoped_style(f".{_SCOPE}"))  # noqa: S704  # our own file
    page = template_environment("shapleycam.explanations").get_template(template)
    return page.render(scope=_SCOPE, style=style, **content).strip()


def _figure(
    explanation: Explanation, index: int, drawn: DrawnMap, longest: int, form: str, **save_options: Any
) -> dict[str, Any]:
    """Return what the templates say of one image by one method; the size is the one that is shown."""
    picture = overlay(explanation, replace(drawn, index=index))
    picture.thumbnail((longest, longest))
    name, label, method = explanation.sources[index].name, explanation.label(index), explanation.method
    return {
        "picture": picture_data_uri(picture, form, **save_options),
        "width": (picture.width + 1) // 2,
        "height": (picture.height + 1) // 2,
        "alt": f"{method} {map_title(explanation, drawn)} of {name} for {label}",
        "name": name,
        "label": label,
        "method": method,
        "utility": explanation.utility_name,
        "choices": removal_phrase(explanation.removal)
        + precision_phrase(explanation.precision)
        + smoothing_phrase(explanation.smooth),
        "score": number(float(explanation.utility[index]), 3),
    }
