"""The row of the table of metrics: what the metric is, with its direction and source as data."""

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
        name: how it is called in Python, in files and on the command line.
        title: short, for the heads of tables.
        reference: module and name of `function` in the package, as "metrics.maps:coherency".
        needs: the arguments of `function`, in order: names of quantities (`metrics.quantities`) or other metrics.
        better: which numbers are good.
        source: where the metric was published.
        percent: whether it is a fraction that tables print in percent.
        in_paper: whether the paper's tables have it.
        in_units: whether it is about values in units of the utility; it is NaN for methods whose values are not.
        caution: where the metric is known to mislead, with the source; empty where nothing is known.
        summary: what it measures, in words for somebody who does not know it.

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
