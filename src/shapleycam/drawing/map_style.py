"""`MapStyle`: how a map is drawn: its colours, its contours, and which places it shows."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapleycam.drawing.colour_scales import find_colour_map
from shapleycam.errors import OptionError
from shapleycam.names import nearest
from shapleycam.wording import counted, percent

Sign: TypeAlias = Literal["positive", "negative", "both"]
MOST_CONTOURS = 50
_ROUNDING = 1e-12
"""Relative rounding error of a sum of values."""


class StyleKeywords(TypedDict, total=False):
    """The fields of `MapStyle` as keyword arguments."""

    colours: str | None
    contours: int
    top_value: float | None
    top_area: float | None
    sign: Sign | None
    plain: bool


@dataclass(frozen=True)
class MapStyle:
    """How a map is drawn.

    A cell's strength is max(value, 0) for sign "positive", max(-value, 0) for "negative", and |value| for "both".

    Args:
        colours: the name of a matplotlib colour map; None for the defaults, "turbo" for heat and "RdBu_r" for signed
            values.
        contours: the number of lines of equal heat or value, at equal steps of the scale; for signed values this
            number on each side of zero.
        top_value: a share in (0, 1]. Only the strongest cells are shown: as few as possible whose strengths sum to this
            share of the total. Cells as strong as the weakest of them are shown too; cells of strength 0 are never
            shown.
        top_area: a share in (0, 1]. Only the strongest cells that make up this share of the area, rounded up, are
            shown; ties and cells of strength 0 are treated as for `top_value`.
        sign: "positive", "negative" or "both"; None for the default: "positive" in heatmaps, "both" in signed values.
        plain: whether values of regions are drawn like those of places: cell by cell, without borders, and without
            grey for regions whose sign is not certain.

    Raises:
        OptionError: an unknown colour map or sign, a number out of range, or both `top_value` and `top_area`.

    Examples:
        >>> from shapleycam.drawing.map_style import MapStyle
        >>> MapStyle(colours="Viridis", top_value=0.5).colours
        'viridis'
    """

    colours: str | None = None
    contours: int = 0
    top_value: float | None = None
    top_area: float | None = None
    sign: Sign | None = None
    plain: bool = False

    def __post_init__(self) -> None:
        """Check the fields, and replace `colours` by matplotlib's spelling of the name."""
        object.__setattr__(self, "colours", None if self.colours is None else find_colour_map(self.colours))
        _check_contours(self.contours)
        for name, share in (("top_value", self.top_value), ("top_area", self.top_area)):
            _check_share(name, share)
        if self.top_value is not None and self.top_area is not None:
            raise OptionError(
                f"top_value={self.top_value} and top_area={self.top_area} were both given; expected a share of the "
                "value or of the area: leave one out"
            )
        if self.sign is not None and self.sign not in get_args(Sign):
            raise OptionError(f"sign {self.sign!r} is unknown; {nearest(str(self.sign), get_args(Sign))}")

    @property
    def masks(self) -> bool:
        """Return whether the style may hide some places."""
        return self.top_value is not None or self.top_area is not None

    def strengths(self, values: Float[Tensor, "*grid"], sign: Sign) -> Float[Tensor, "*grid"]:
        """Return the strength of each cell, at least 0.

        Examples:
            >>> import torch
            >>> from shapleycam.drawing.map_style import MapStyle
            >>> MapStyle().strengths(torch.tensor([3.0, -1.0]), "negative").tolist()
            [0.0, 1.0]
        """
        signed = {"positive": values, "negative": -values, "both": values.abs()}[sign]
        return signed.clamp(min=0)

    def shown(self, values: Float[Tensor, "*grid"], sign: Sign) -> Bool[Tensor, "*grid"]:
        """Return which cells are shown: all, or the strongest ones with the style's share of the strength or the area.

        Examples:
            >>> import torch
            >>> from shapleycam.drawing.map_style import MapStyle
            >>> values = torch.tensor([[5.0, 3.0], [2.0, -9.0]])
            >>> MapStyle(top_value=0.8).shown(values, "positive").tolist()
            [[True, True], [False, False]]
            >>> MapStyle(top_area=0.3).shown(values, "both").tolist()
            [[True, False], [False, True]]
        """
        if not self.masks:
            return torch.ones_like(values, dtype=torch.bool)
        strengths = self.strengths(values, sign).double()
        ordered = strengths.flatten().sort(descending=True).values
        if self.top_area is not None:
            count = ceil(self.top_area * len(ordered) * (1 - _ROUNDING))
        else:
            sums = ordered.cumsum(0)
            enough = (self.top_value or 0) * float(sums[-1]) * (1 - _ROUNDING)
            count = int((sums < enough).sum()) + 1
        weakest = ordered[count - 1]
        return (strengths >= weakest) & (strengths > 0)

    def describe(self, sign: Sign) -> str:
        """Return a phrase on the places and the contours that the style shows; "" if it shows all and no contours.

        Examples:
            >>> from shapleycam.drawing.map_style import MapStyle
            >>> MapStyle(top_value=0.5).describe("positive")
            'shown: the fewest places that hold 50% of the positive value'
            >>> MapStyle(top_area=0.2, contours=3).describe("positive")
            'shown: the strongest places, of 20% of the area; 3 contours at equal steps of the scale'
        """
        value = {"positive": "positive value", "negative": "negative value", "both": "value of either sign"}[sign]
        parts = []
        if self.top_value is not None:
            parts.append(f"shown: the fewest places that hold {percent(self.top_value)} of the {value}")
        if self.top_area is not None:
            parts.append(f"shown: the strongest places, of {percent(self.top_area)} of the area")
        if self.contours:
            sides = " on each side of zero" if sign == "both" else ""
            parts.append(f"{counted(self.contours, 'contour')} at equal steps of the scale{sides}")
        return "; ".join(parts)


def _check_contours(contours: Any) -> None:
    is_count = isinstance(contours, Integral) and not isinstance(contours, bool)
    if not is_count or not 0 <= contours <= MOST_CONTOURS:
        raise OptionError(f"contours={contours!r}; expected a whole number from 0 (no lines) to {MOST_CONTOURS}")


def _check_share(name: str, share: Any) -> None:
    """Refuse a share outside (0, 1]; None means that no share was given."""
    if share is None:
        return
    is_number = isinstance(share, Real) and not isinstance(share, bool) and isfinite(share)
    if not is_number or not 0 < share <= 1:
        raise OptionError(f"{name}={share!r}; expected a share above 0 and up to 1, such as 0.2 for 20%")


DEFAULT_STYLE = MapStyle()
