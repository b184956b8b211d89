"""The options of drawing maps, which `explain` and `compare` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from shapleycam.explanations.drawn_map import DrawnMap


@dataclass(frozen=True)
class StyleGroup:
    """The options of drawing maps."""

    sign: Annotated[
        Literal["positive", "negative", "both"] | None,
        typer.Option(
            "--sign",
            help="Draw what speaks for the class, what speaks against it, or signed values; default: positive, and "
            "both if the players are regions.",
        ),
    ] = None
    colours: Annotated[
        str | None,
        typer.Option("--colours", metavar="NAME", help="A colour map of matplotlib; default: turbo, RdBu_r for both."),
    ] = None
    contours: Annotated[
        int, typer.Option("--contours", metavar="N", help="Draw contours too, at N equal steps of the scale.")
    ] = 0
    top_value: Annotated[
        float | None,
        typer.Option(
            "--top-value",
            metavar="SHARE",
            help="Show only the strongest places that together hold this share of the value, such as 0.5.",
        ),
    ] = None
    top_area: Annotated[
        float | None,
        typer.Option(
            "--top-area", metavar="SHARE", help="Show only the strongest places that cover this share of the area."
        ),
    ] = None
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Draw values of regions as maps of places, without borders and without grey."),
    ] = False
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="Show the plain photograph beside its maps.")] = (
        False
    )

    def drawn(self, view: Literal["photo", "input"] | None) -> DrawnMap:
        """Return the library's choices for drawing maps over `view`.

        Raises:
            OptionError: an unknown colour map, or a number that is out of range.
        """
        from shapleycam.drawing.map_style import MapStyle, Sign
        from shapleycam.drawing.overlays import Kind
        from shapleycam.explanations.drawn_map import DrawnMap

        sign: Sign | None = "negative" if self.sign == "negative" else None
        style = MapStyle(self.colours, self.contours, self.top_value, self.top_area, sign, self.plain)
        kinds: dict[str | None, Kind | None] = {None: None, "both": "values"}
        return DrawnMap(on=view, kind=kinds.get(self.sign, "heatmap"), style=style)
