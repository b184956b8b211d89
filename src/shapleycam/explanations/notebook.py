"""Explanations and comparisons as notebooks show them: HTML with embedded pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from shapleycam.drawing.data_uri import picture_data_uri

if TYPE_CHECKING:
    from jinja2 import Template

    from shapleycam.explanations.explanation import Explanation

_MOST_IMAGES, _MOST_COMPARED = 8, 4
"""So many images at most are shown of an explanation, and of a comparison."""
_LONGEST, _LONGEST_COMPARED = 640, 320
"""Pixels of a picture, which the notebook shows half as large."""

_EXPLANATION = """\
<div style='display:flex;flex-wrap:wrap;gap:1em'>
{%- for figure in figures -%}
<figure style='margin:0'><img src='{{ figure.picture }}' alt='{{ figure.alt }}' style='max-width:320px'>
{%- set caption = figure.utility ~ " " ~ figure.score ~ ", " ~ figure.method -%}
<figcaption>{{ figure.name }}: <b>{{ figure.label }}</b>, {{ caption }}</figcaption></figure>
{%- endfor -%}
</div>{% if more %}<p>and {{ more }} more</p>{% endif %}"""

_COMPARISON = """\
{%- for figures in rows -%}
<p>{{ figures[0].name }}: <b>{{ figures[0].label }}</b>, {{ figures[0].utility }} {{ figures[0].score }}</p>
{#- -#}
<div style='display:flex;flex-wrap:wrap;gap:0.5em'>
{%- for figure in figures -%}
<figure style='margin:0'><img src='{{ figure.picture }}' alt='{{ figure.alt }}' style='width:160px'>
{#- -#}
<figcaption>{{ figure.method }}</figcaption></figure>
{%- endfor -%}
</div>
{%- endfor -%}
{% if more %}<p>and {{ more }} more</p>{% endif %}"""


def explanation_html(explanation: Explanation) -> str:
    """Return the overlays of the first images with what was explained of them."""
    count = len(explanation)
    figures = [_figure(explanation, index, _LONGEST, "PNG") for index in range(min(count, _MOST_IMAGES))]
    return _template(_EXPLANATION).render(figures=figures, more=max(0, count - _MOST_IMAGES))


def comparison_html(comparison: Mapping[str, Explanation]) -> str:
    """Return the first images, each by all methods side by side."""
    if not comparison:
        return "<p>no methods</p>"
    explanations = list(comparison.values())
    count = len(explanations[0])
    rows = [
        [_figure(explanation, index, _LONGEST_COMPARED, "JPEG", quality=85) for explanation in explanations]
        for index in range(min(count, _MOST_COMPARED))
    ]
    return _template(_COMPARISON).render(rows=rows, more=max(0, count - _MOST_COMPARED))


@cache
def _template(source: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined).from_string(source)


def _figure(explanation: Explanation, index: int, longest: int, form: str, **save_options: Any) -> dict[str, str]:
    """Return what the templates say of one image by one method."""
    picture = explanation.overlay(index)
    picture.thumbnail((longest, longest))
    name, label, method = explanation.sources[index].name, explanation.label(index), explanation.method
    return {
        "picture": picture_data_uri(picture, form, **save_options),
        "alt": f"{method} heatmap of {name} for {label}",
        "name": name,
        "label": label,
        "method": method,
        "utility": explanation.utility_name,
        "score": f"{float(explanation.utility[index]):.3g}",
    }
