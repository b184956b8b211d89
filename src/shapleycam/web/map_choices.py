"""How maps are drawn, as the page's addresses say it."""

from __future__ import annotations

from shapleycam.drawing.map_style import MapStyle
from shapleycam.errors import OptionError
from shapleycam.web.question import Question


def read_style(question: Question) -> MapStyle:
    """Return how the maps of a question are drawn.

    Raises:
        OptionError: an unknown colour map, or no share.
    """
    return MapStyle(question.colours or None, top_value=read_share(question.top_value))


def read_share(text: str) -> float | None:
    """Return the share that an address says; None for none.

    Raises:
        OptionError: it is no share.
    """
    if not text:
        return None
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise OptionError(
            f"the share of the value in the address is {text[:40]!r}; expected a number above 0 and up to 1, as 0.5"
        )
    return share
