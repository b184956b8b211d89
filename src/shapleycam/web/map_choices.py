"""How maps are drawn, as the page's addresses say it."""

from __future__ import annotations

from typing import Literal

from shapleycam.drawing.map_style import MOST_CONTOURS, MapStyle
from shapleycam.errors import OptionError
from shapleycam.web.question import Question


def read_style(question: Question) -> MapStyle:
    """Return how the maps of a question are drawn.

    Raises:
        OptionError: an unknown colour map or sign, no share, or no number of contours.
    """
    return MapStyle(
        question.colours or None,
        contours=read_contours(question.contours),
        top_value=read_share(question.top_value),
        sign=read_sign(question.sign),
    )


def read_contours(text: str) -> int:
    """Return the number of contours that an address says; 0 for none.

    Raises:
        OptionError: it is no such number.
    """
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else None
    if text and (number is None or number > MOST_CONTOURS):
        raise OptionError(
            f"the number of contours in the address is {text[:40]!r}; expected a whole number from 0 to {MOST_CONTOURS}"
        )
    return number or 0


def read_sign(text: str) -> Literal["positive", "negative"] | None:
    """Return the sign that an address says; None for what each map shows by itself.

    Both signs at once are what the signed map shows, and no heatmap can show.

    Raises:
        OptionError: it is none.
    """
    match text:
        case "positive" | "negative":
            return text
        case "":
            return None
    raise OptionError(f"the sign in the address is {text[:40]!r}; expected positive, negative, or none for the usual")


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
