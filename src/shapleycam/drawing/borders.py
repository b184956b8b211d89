"""The borders of regions, drawn at the size of the picture below them, so that they are sharp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image, ImageFilter

from shapleycam.drawing.region_names import write_names

_WIDTH = 1 / 300
"""The width of a line, as a share of the picture's shorter side."""
_LINE, _EDGE = (255, 255, 255, 230), (0, 0, 0, 120)
"""White inside a dark edge, which is visible on every colour."""


@dataclass(frozen=True)
class Borders:
    """Lines between regions.

    Attributes:
        labels: (rows, columns), the number of each cell's region.
        names: the regions' names by number, which are written over the regions; empty for no names.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.drawing.borders import Borders
        >>> lines = Borders(np.array([[0, 1]])).draw((40, 40))
        >>> lines.getpixel((20, 5))[3] > 0, lines.getpixel((5, 5))[3], lines.getpixel((35, 5))[3]
        (True, 0, 0)
    """

    labels: Int[np.ndarray, "rows columns"]
    names: tuple[str, ...] = ()

    def draw(self, size: tuple[int, int]) -> Image.Image:
        """Return the lines and names as an RGBA image of `size` (width, height), transparent elsewhere."""
        rows, columns = self.labels.shape
        down = np.arange(size[1]) * rows // size[1]
        across = np.arange(size[0]) * columns // size[0]
        labels = self.labels[down[:, None], across]
        thickness = max(1, round(_WIDTH * min(size)))
        line = _dilate(_differs_from_neighbours(labels), thickness)
        pixels = np.zeros((size[1], size[0], 4), np.uint8)
        pixels[_dilate(line, max(1, thickness // 2) + 1)] = _EDGE
        pixels[line] = _LINE
        picture = Image.fromarray(pixels, mode="RGBA")
        write_names(picture, self.labels, self.names)
        return picture


def _differs_from_neighbours(labels: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return which pixels have a different region to their right or below them."""
    differs = np.zeros(labels.shape, bool)
    differs[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    differs[:-1] |= labels[:-1] != labels[1:]
    return differs


def _dilate(pixels: Bool[np.ndarray, "h w"], width: int) -> Bool[np.ndarray, "h w"]:
    """Return a mask dilated by a square of `width` pixels; an even width is rounded up to an odd one."""
    if width == 1:
        return pixels
    picture = Image.fromarray(pixels.astype(np.uint8) * 255)
    dilated: np.ndarray = np.array(picture.filter(ImageFilter.MaxFilter(width + 1 - width % 2))) > 0
    return dilated
