"""Formatting numbers and short phrases for messages and tables.

Every output (terminal, page, report, figures) writes a percentage as 24%, and a negative number with the hyphen-minus
of the keyboard, so that other programs can read a copied number.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

_WHOLE = 10
"""Measured counts from this number on are shown without decimals."""


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless the count is 1.

    Examples:
        >>> counted(1, "image"), counted(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share as a percentage; one that is not 0 or 1 is never rounded to 0% or 100%.

    Examples:
        >>> percent(0.2416), percent(0.2416, 1), percent(0.0), percent(1.0)
        ('24%', '24.2%', '0%', '100%')
        >>> percent(0.0004), percent(0.9998), percent(0.9998, 1), percent(float("nan"))
        ('<1%', '>99%', '>99.9%', 'undefined')
    """
    if isnan(share):
        return "undefined"
    step = 10.0**-digits
    text = f"{100 * share:.{digits}f}"
    if float(text) == 0:
        return f"{0:.{digits}f}%" if share == 0 else f"<{step:.{digits}f}%" if share > 0 else f">-{step:.{digits}f}%"
    return f">{100 - step:.{digits}f}%" if share < 1 and float(text) == 100 else f"{text}%"


def number(value: float, digits: int = 4) -> str:
    """Return a number with `digits` significant digits; zero has no sign.

    Examples:
        >>> number(0.231449), number(-1234.5678), number(-0.0)
        ('0.2314', '-1235', '0')
    """
    return f"{value or 0.0:.{digits}g}"


def measured_count(count: float, noun: str = "") -> str:
    """Return a measured count and its noun; two significant digits below ten, else a whole number.

    Examples:
        >>> measured_count(1.234, "forward pass"), measured_count(1902.4), measured_count(0.998, "forward pass")
        ('1.2 forward passes', '1,902', '1 forward pass')
    """
    text = f"{count:,.0f}" if count >= _WHOLE else number(count, 2)
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{text} {noun if text == '1' else plural}" if noun else text


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign and `digits` significant digits; zero has no sign.

    Examples:
        >>> signed(0.4776), signed(-0.4776), signed(0.0)
        ('+0.478', '-0.478', '0')
    """
    return f"{value:+.{digits}g}" if value else "0"


def removal_phrase(removal: str) -> str:
    """Return the part of a list of options for a removal; "" for zero, the default.

    Examples:
        >>> removal_phrase("zero"), removal_phrase("mean")
        ('', ', removal mean')
    """
    return "" if removal == "zero" else f", removal {removal}"


def precision_phrase(precision: str) -> str:
    """Return the part of a list of options for a precision; "" for the network's own.

    Examples:
        >>> precision_phrase("full"), precision_phrase("bfloat16")
        ('', ', precision bfloat16')
    """
    return "" if precision == "full" else f", precision {precision}"


def smoothing_phrase(smooth: tuple[str, ...]) -> str:
    """Return the part of a list of options for smoothings; "" without smoothing.

    Examples:
        >>> smoothing_phrase(()), smoothing_phrase(("augment", "noise"))
        ('', ', smoothed by augment, noise')
    """
    return f", smoothed by {', '.join(smooth)}" if smooth else ""


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or the name of its type if it has no message.

    Examples:
        >>> first_line(ValueError("no such size\nand a long explanation")), first_line(KeyboardInterrupt())
        ('no such size', 'KeyboardInterrupt')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def type_and_first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message, or only the type if it has no message.

    Examples:
        >>> type_and_first_line(KeyError("size")), type_and_first_line(KeyError())
        ("KeyError: 'size'", 'KeyError')
    """
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


def on_one_line(error: BaseException) -> str:
    r"""Return an error's whole message on one line, or the name of its type if it has no message.

    Examples:
        >>> from shapleycam.wording import on_one_line
        >>> on_one_line(ValueError("no such size\n  for this model")), on_one_line(KeyboardInterrupt())
        ('no such size for this model', 'KeyboardInterrupt')
    """
    return " ".join(str(error).split()) or type(error).__name__


def as_json_value(value: Any) -> Any:
    """Return a document with None instead of NaN and infinities (unknown errors, for example), which JSON lacks.

    Examples:
        >>> from math import inf, nan
        >>> from shapleycam.wording import as_json_value
        >>> as_json_value({"stderr": [0.5, inf], "half": nan})
        {'stderr': [0.5, None], 'half': None}
    """
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: as_json_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json_value(each) for each in value]
    return value
