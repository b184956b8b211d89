"""`Metric`: a row of the table of metrics, with the metric's function, direction and source as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Direction: TypeAlias = Literal["high", "low"]


@dataclass(frozen=True)
class Metric:
    """A row of the table of metrics.

    Attributes:
        name: its name in Python, in files and on the command line.
        title: a short name for the headers of tables.
        reference: module and name of `function` in the package, as "metrics.maps:coherency".
        needs: the arguments of `function`, in order: names of quantities (`metrics.quantities`) or other metrics.
        better: whether high or low numbers are good.
        source: where the metric was published.
        percent: whether it is a fraction that tables print in percent.
        in_paper: whether the paper's tables contain it.
        in_units: whether it needs values in units of the utility; it is NaN for methods with other values.
        summary: what it measures, in words for readers who do not know it.
        caution: when the metric is known to mislead, with the source; empty if no such case is known.

    Examples:
        >>> from shapleycam.metrics import METRICS
        >>> METRICS["average_drop"].title, METRICS["average_drop"].better
        ('AD', 'low')
    """

    name: str
    title: str
    reference: str
    needs: tuple[str, ...]
    better: Direction
    source: str
    percent: bool = True
    in_paper: bool = False
    in_units: bool = False
    summary: str = ""
    caution: str = ""

    @property
    def function(self) -> Callable[..., Tensor]:
        """Return the function that computes the metric: one number for each image, (b,)."""
        function: Callable[..., Tensor] = resolve_name(f"shapleycam.{self.reference}")  # not before: it imports torch
        return function
