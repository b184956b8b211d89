"""HTML with embedded pictures, in which notebooks show explanations and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shapleycam.drawing.data_uri import picture_data_uri
from shapleycam.explanations.drawn_map import DrawnMap, resolve_kind
from shapleycam.explanations.figures import map_bar, map_title
from shapleycam.explanations.pictures import overlay
from shapleycam.wording import number, precision_phrase, removal_phrase, smoothing_phrase

if TYPE_CHECKING:
    from shapleycam.explanations.explanation import Explanation

_MOST_IMAGES, _MOST_COMPARED = 8, 4
"""The largest number of images that are shown, for an explanation and for a comparison."""
_LONGEST, _LONGEST_COMPARED = 640, 320
"""The longer side of a picture in pixels; the notebook shows it half as large, for screens of high resolution."""
_SCOPE = "shapleycam"
"""The CSS class of the element to which the style sheet applies, so that it changes nothing else in the notebook."""


def explanation_html(explanation: Explanation) -> str:
    """Return HTML with the overlays of the first images, and their classes and scores."""
    count = len(explanation)
    drawn = resolve_kind([explanation], DrawnMap())
    figures = [_figure(explanation, index, drawn, _LONGEST, "PNG") for index in range(min(count, _MOST_IMAGES))]
    bar = map_bar([explanation[index] for index in range(len(figures))], drawn)
    return _render("explanation.html", figures=figures, bar=bar, more=max(0, count - _MOST_IMAGES))


def comparison_html(comparison: Mapping[str, Explanation]) -> str:
    """Return HTML with the first images, each as a row of overlays by all methods."""
    if not comparison:
        return "<p>no methods</p>"
    explanations = list(comparison.values())
    count, drawn = len(explanations[0]), resolve_kind(explanations, DrawnMap())
    bar = map_bar([explanation[0] for explanation in explanations], drawn)
    rows = [
        [_figure(explanation, index, drawn, _LONGEST_COMPARED, "JPEG", quality=85) for explanation in explanations]
        for index in range(min(count, _MOST_COMPARED))
    ]
    return _render("comparison.html", rows=rows, bar=bar, more=max(0, count - _MOST_COMPARED))


def _render(template: str, **content: Any) -> str:
    """Return the HTML of a template, with the components and the style sheet that the page and reports use too."""
    from markupsafe import Markup

    from shapleycam.html import scoped_style, template_environment

    style = Markup(scoped_style(f".{_SCOPE}"))  # noqa: S704  # our own file
    page = template_environment("shapleycam.explanations").get_template(template)
    return page.render(scope=_SCOPE, style=style, **content).strip()


def _figure(
    explanation: Explanation, index: int, drawn: DrawnMap, longest: int, form: str, **save_options: Any
) -> dict[str, Any]:
    """Return the templates' data on one image by one method; width and height are the displayed size."""
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
