"""Read the style of maps from the fields of a question."""

from __future__ import annotations

from typing import Literal

from shapleycam.drawing.map_style import MOST_CONTOURS, MapStyle
from shapleycam.errors import OptionError
from shapleycam.web.question import Question


def read_style(question: Question) -> MapStyle:
    """Return the style of a question's maps.

    Raises:
        OptionError: the colour map or sign is unknown, or the share or number of contours is not valid.
    """
    return MapStyle(
        question.colours or None,
        contours=read_contours(question.contours),
        top_value=read_share(question.top_value),
        sign=read_sign(question.sign),
    )


def read_contours(text: str) -> int:
    """Return the number of contours in an address; 0 for an empty text.

    Raises:
        OptionError: the text is not such a number.
    """
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else None
    if text and (number is None or number > MOST_CONTOURS):
        raise OptionError(
            f"the number of contours in the address is {text[:40]!r}; expected a whole number from 0 to {MOST_CONTOURS}"
        )
    return number or 0


def read_sign(text: str) -> Literal["positive", "negative"] | None:
    """Return the sign in an address; None for an empty text, with which each map shows its usual sign.

    "both" is not accepted: the signed map shows both signs anyway, and a heatmap cannot.

    Raises:
        OptionError: the text is not a sign.
    """
    match text:
        case "positive" | "negative":
            return text
        case "":
            return None
    raise OptionError(f"the sign in the address is {text[:40]!r}; expected positive, negative, or none for the usual")


def read_share(text: str) -> float | None:
    """Return the share in an address; None for an empty text.

    Raises:
        OptionError: the text is not a share.
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
