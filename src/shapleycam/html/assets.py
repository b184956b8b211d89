"""The style sheet and the scripts, which the page serves as files and reports embed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapleycam.drawing.overlays import ColourScale

ASSETS = {"style.css": "text/css", "tables.js": "text/javascript", "maps.js": "text/javascript"}
"""The files that the page, reports and notebooks share, with their media types."""
_KINDS: tuple[ColourScale, ...] = ("heatmap", "values")


@cache
def read_asset(name: str) -> str:
    """Return the text of one of `ASSETS`; the style sheet includes the colours of the colour bars.

    Examples:
        >>> from shapleycam.html import read_asset
        >>> "--bar-heatmap: linear-gradient(" in read_asset("style.css")
        True
    """
    text = files("shapleycam.html").joinpath("static", name).read_text(encoding="utf-8")
    return text + _bars() if name == "style.css" else text


@cache
def scoped_style(selector: str) -> str:
    """Return the style sheet restricted to the elements that a selector matches and their descendants.

    The rest of the page does not change. The rules are nested (CSS Nesting); a browser without support ignores them.

    Examples:
        >>> from shapleycam.html import scoped_style
        >>> scoped_style(".shapleycam").startswith(".shapleycam {"), ":root" in scoped_style(".shapleycam")
        (True, False)
    """
    return f"{selector} {{\n{read_asset('style.css').replace(':root', '&')}}}\n"


def _bars() -> str:
    """Return the bars' colours as custom properties of CSS; the style sheet applies the opacity of the maps."""
    from shapleycam.drawing.colour_bars import css_gradient  # here, because a table in HTML needs no drawing modules

    return "".join(f":root {{ --bar-{kind}: {css_gradient(kind, opacity=1.0)}; }}\n" for kind in _KINDS)
