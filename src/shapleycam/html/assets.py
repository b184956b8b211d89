"""The style sheet and the scripts, which the page serves as files and a report carries inside."""

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
    """Return the text of one of `ASSETS`; the style sheet has the colours of the maps' bars in it.

    Examples:
        >>> from shapleycam.html import read_asset
        >>> "--bar-heatmap: linear-gradient(" in read_asset("style.css")
        True
    """
    text = files("shapleycam.html").joinpath("static", name).read_text(encoding="utf-8")
    return text + _bars() if name == "style.css" else text


@cache
def scoped_style(selector: str) -> str:
    """Return the style sheet for the elements that a selector names, and for what is in them.

    The rest of the page stays as it is. The rules are nested (CSS Nesting); a browser that does not know that leaves
    them out.

    Examples:
        >>> from shapleycam.html import scoped_style
        >>> scoped_style(".shapleycam").startswith(".shapleycam {"), ":root" in scoped_style(".shapleycam")
        (True, False)
    """
    return f"{selector} {{\n{read_asset('style.css').replace(':root', '&')}}}\n"


def _bars() -> str:
    """Return the colours of the bars as custom properties, which the style sheet shows at the opacity of the maps."""
    from shapleycam.drawing.colour_bars import css_gradient  # with matplotlib, which a table in HTML does not need

    return "".join(f":root {{ --bar-{kind}: {css_gradient(kind, opacity=1.0)}; }}\n" for kind in _KINDS)
