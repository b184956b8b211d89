"""What a metric is: a small function of what was asked of the model, with its direction and source as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

Direction: TypeAlias = Literal["high", "low"]


@dataclass(frozen=True)
class Metric:
    """A row of the table of metrics.

    `function` makes one number an image (b,) from what it `needs`: the names of quantities (see `passes`) or of other
    metrics, in the order of its arguments. `better` says which numbers are good; `title` is short, for the heads of
    tables; `percent`, whether it is a fraction that tables print in percent; `in_paper`, whether the paper's tables
    have it; `in_units`, whether it is of values in units of the utility, and of methods with others is NaN.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    better: Direction
    source: str
    function: Callable[..., Tensor]
    percent: bool = True
    in_paper: bool = False
    in_units: bool = False
