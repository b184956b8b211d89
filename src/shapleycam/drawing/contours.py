"""Lines of equal heat or value, drawn at the size of the picture below them, so that they are sharp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw

_SUPERSAMPLING = 2
"""Lines are drawn this many times larger and then scaled down, because Pillow draws them without antialiasing."""
_WIDTH = 1 / 200
"""The width of a line, as a share of the picture's shorter side."""
_HALO = (255, 255, 255, 255)


@dataclass(frozen=True)
class Contours:
    """Lines of equal numbers in a map.

    Attributes:
        numbers: (rows, columns), the map.
        levels: the number of the map at each line.
        colours: the RGB colour in [0, 1] of each line.
        shown: the parts of the map where lines are drawn, on a grid of any number of rows and columns.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.drawing.contours import Contours
        >>> slope = np.linspace(0, 1, 8)[None].repeat(8, 0)
        >>> Contours(slope, np.array([0.5]), np.zeros((1, 3)), np.ones((1, 1), bool)).draw((80, 80)).getbbox() is None
        False
    """

    numbers: Float[np.ndarray, "rows columns"]
    levels: Float[np.ndarray, " levels"]
    colours: Float[np.ndarray, "levels 3"]
    shown: Bool[np.ndarray, "r c"]

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Return the lines as an RGBA image of `size` (width, height), each in its colour with a white edge."""
        width, height = _SUPERSAMPLING * size[0], _SUPERSAMPLING * size[1]
        lines = [(_polylines(self.numbers, level, (width, height)), colour) for level, colour in self._pairs()]
        thickness = max(_SUPERSAMPLING, round(_WIDTH * min(width, height)))
        canvas = Image.new("RGBA", (width, height), (255, 255, 255, 0))
        pen = ImageDraw.Draw(canvas)
        for polylines, colour in lines:
            for points in polylines:
                pen.line(points, fill=_HALO, width=2 * thickness, joint="curve")
                pen.line(points, fill=colour, width=thickness, joint="curve")
        drawn = canvas.resize(size, Image.Resampling.BOX)
        shown = Image.fromarray(self.shown.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
        drawn.putalpha(Image.composite(drawn.getchannel("A"), Image.new("L", size, 0), shown))
        return drawn

    def _pairs(self) -> list[tuple[float, tuple[int, ...]]]:
        """Return the level and the RGBA colour of each line."""
        colours = (self.colours * 255).round().astype(int)
        return [(float(level), (*colour, 255)) for level, colour in zip(self.levels, colours.tolist(), strict=True)]


def _polylines(
    numbers: Float[np.ndarray, "rows columns"], level: float, size: tuple[int, int]
) -> list[list[tuple[float, float]]]:
    """Return the lines at one level, as lists of points (x, y) in a picture of `size` (width, height)."""
    from contourpy import contour_generator  # here, because it takes a tenth of a second, and few maps have contours

    rows, columns = numbers.shape
    if min(rows, columns) < 2:
        return []
    scale = np.array([size[0] / columns, size[1] / rows])
    lines = [np.asarray(points) for points in contour_generator(z=numbers).lines(level)]
    return [[(x, y) for x, y in ((points + 0.5) * scale - 0.5).tolist()] for points in lines]
