"""Numbers as people read them."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """Return a share in percent; what would round to nothing or to all is "<1%" or ">99%".

    Examples:
        >>> percent(0.237), percent(0.0004), percent(0.9996), percent(0.0526, 1), percent(1)
        ('24%', '<1%', '>99%', '5.3%', '100%')
    """
    step = 10.0**-digits
    rounded = round(100 * share, digits)
    if rounded == 0 and share > 0:
        return f"<{step:.{digits}f}%"
    if rounded == 100 and share < 1:
        return f">{100 - step:.{digits}f}%"
    return f"{100 * share:.{digits}f}%"


def number(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits."""
    return f"{value:.{digits}g}"


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign.

    Examples:
        >>> signed(0.4776), signed(-0.4776), signed(0)
        ('+0.478', '-0.478', '0')
    """
    return f"{value:+.{digits}g}" if value else "0"
