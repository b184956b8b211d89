"""Drawing the names of regions over a picture, where each region is widest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image

from shapleycam.drawing.lettering import draw_label

_HEIGHT, _SMALLEST = 1 / 22, 10
"""The font size as a share of the picture's shorter side, and the smallest font size in pixels."""
_WIDEST = 0.35
"""The largest width of a name, as a share of the picture's width; longer names are cut."""


def write_names(picture: Image.Image, labels: Int[np.ndarray, "rows columns"], names: Sequence[str]) -> None:
    """Draw the name of each region onto a picture; `names` are by number in `labels`. Empty regions are skipped.

    Examples:
        >>> import numpy as np
        >>> from PIL import Image
        >>> from shapleycam.drawing.region_names import write_names
        >>> picture = Image.new("RGBA", (200, 100))
        >>> write_names(picture, np.array([[0, 1]]), ["cat", ""])
        >>> left, right = picture.crop((0, 0, 100, 100)), picture.crop((100, 0, 200, 100))
        >>> left.getbbox() is not None, right.getbbox()
        (True, None)
    """
    rows, columns = labels.shape
    pixels = max(_SMALLEST, round(_HEIGHT * min(picture.size)))
    for number, name in enumerate(names):
        inside = labels == number
        if not inside.any():
            continue
        row, column = _widest_place(inside)
        centre = (column + 0.5) / columns * picture.width, (row + 0.5) / rows * picture.height
        draw_label(picture, name, centre, pixels, round(_WIDEST * picture.width))


def _widest_place(inside: Bool[np.ndarray, "rows columns"]) -> tuple[int, int]:
    """Return the cell inside a region that is farthest from the region's border.

    The region's mean position is not used, because it may lie outside, as for a ring.
    """
    from scipy import ndimage  # here, because pictures without names do not need SciPy

    distance = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    best = np.argwhere(distance == distance.max())
    row, column = best[
        np.abs(best - best.mean(0)).sum(1).argmin()
    ]  # if several are equally far, the one nearest to their mean
    return int(row), int(column)
