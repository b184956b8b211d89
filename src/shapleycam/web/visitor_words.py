"""Convert the library's messages, which name Python arguments and commands, to the words of the page and its boxes."""

from __future__ import annotations

import re

_END = r"(?=\Z|[\s,;:.)])"
_BOXES = {"layer": "Layer", "target": "Class", "against": "And not"}
_PHRASES = (
    (r"\s*\(shapleycam layers MODEL[^()]*\)", " (the box Layer offers them)"),
    (r"\s*\(shapleycam \w+[^()]*\)", ""),
    *((rf"\b(?:with|by) {name}={_END}", f"in the box {box}") for name, box in _BOXES.items()),
    *((rf"\bgive {name}={_END}", f"choose it in the box {box}") for name, box in _BOXES.items()),
    (r"\butility='(\w+)'", r"the utility \1"),
    (r"\bsmooth='([^']*)'", r"smoothing \1"),
    (r"\bcontours=(\d+) were", r"\1 contours were"),
    (r", which is run only if asked: give trusted=.*", ", which this page does not offer"),
    (r"\bpreprocess= ", "the model's preprocessing "),
)
"""Patterns of advice that a visitor can follow, and their replacements, which name the page's boxes."""
_QUOTED = r"(?<!\w)(?:'[^'\n]*'|\"[^\"\n]*\")(?!\w)"
_OPERATOR = (
    r"\b[a-z][a-z_]*=(?!=)|(?<![\w-])--[a-z]|\bpip install|\bshapleycam[ .][A-Za-z]|\b(?:torch|model)\.[a-z]"
    r"|\b[A-Za-z_]\w*\(\)"
)
"""Advice that only the operator can follow: Python arguments, options of commands, calls."""
_FIND = re.compile(rf"{_QUOTED}|(?P<operator>{_OPERATOR})")
_SEPARATOR = re.compile(r", or |, and |; |: | \(")
_ALTERNATIVES = (", or ", ", and ")
_REMEDY = "choose another model or layer, or tell the operator of this page"


def visitor_words(message: str) -> str:
    """Return a message of the library in words for a visitor of the page.

    Advice for the operator is omitted, with the rest of the message; the problem is described before it.

    Examples:
        >>> from shapleycam.web.visitor_words import visitor_words
        >>> visitor_words("utility 'value' is of one of 6 numbers; say which with target=")
        "utility 'value' is of one of 6 numbers; say which in the box Class"
        >>> visitor_words("class 'cat' is a name, and this model has no labels; give a number, or labels=")
        "class 'cat' is a name, and this model has no labels; give a number"
    """
    for pattern, words in _PHRASES:
        message = re.sub(pattern, words, message)
    place = next((match.start() for match in _FIND.finditer(message) if match["operator"]), None)
    if place is None:
        return message
    separators = list(_SEPARATOR.finditer(message, 0, place))
    if not separators:
        return f"The model cannot be explained as it is; {_REMEDY}"
    last = separators[-1]
    problem = message[: last.start()]
    return problem if last[0] in _ALTERNATIVES and "; " in problem else f"{problem}; {_REMEDY}"
