"""The curve of the standard error against the number of orders, on logarithmic scales, in coordinates of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

WIDTH, HEIGHT = 360, 150
_ERRORS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""Errors at which the scale can have its ends and its marks."""
_ENDS = 4
"""Maximum number of marks on the scale of errors."""


@dataclass(frozen=True)
class Mark:
    """A mark on a scale: its coordinate in the drawing, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class ErrorCurve:
    """A curve to draw: its points, the vertical coordinate of the goal, and the marks of both scales."""

    points: tuple[tuple[float, float], ...]
    goal: float
    across: tuple[Mark, ...]
    down: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def line(self) -> str:
        """Return the points as an SVG attribute."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def error_curve(steps: Sequence[tuple[int, float]], goal: float, orders: Sequence[int]) -> ErrorCurve:
    """Return the curve of steps (orders, standard error); the scale of orders extends from `orders[0]` to `orders[-1]`.

    Examples:
        >>> from shapleycam.web.error_curve import error_curve
        >>> curve = error_curve([(10, 0.1), (100, 0.01)], goal=0.01, orders=(10, 100, 1000))
        >>> curve.line, curve.goal, [mark.text for mark in curve.across]
        ('0.0,0.0 180.0,150.0', 150.0, ['10', '100', '1,000'])
    """
    shown = [(count, max(error, _ERRORS[-1])) for count, error in steps]
    lowest, highest = min(goal, *(error for _, error in shown)), max(goal, *(error for _, error in shown))
    top = min((end for end in _ERRORS if end >= highest), default=_ERRORS[0])
    bottom = max((end for end in _ERRORS if end <= lowest and end < top), default=top / 10)

    def across(count: int) -> float:
        return WIDTH * log10(count / orders[0]) / log10(orders[-1] / orders[0])

    def down(error: float) -> float:
        return HEIGHT * log10(top / error) / log10(top / bottom)

    marks = [end for end in _ERRORS if bottom <= end <= top]
    every = -(-len(marks) // _ENDS)
    return ErrorCurve(
        tuple((across(count), down(min(error, top))) for count, error in shown),
        down(goal),
        tuple(Mark(across(count), f"{count:,}") for count in orders),
        tuple(Mark(down(end), f"{100 * end:g}%") for end in marks[::every]),
    )
