"""The names of regions, written over a picture where each region is widest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image

from shapleycam.drawing.lettering import draw_label

_HEIGHT, _SMALLEST = 1 / 22, 10
"""Of the letters: as a share of the shorter side of the picture, and in pixels at least."""
_WIDEST = 0.35
"""Of a name, as a share of the picture's width; longer ones are cut."""


def write_names(picture: Image.Image, labels: Int[np.ndarray, "rows columns"], names: Sequence[str]) -> None:
    """Write the name of each region onto a picture, by its number in `labels`; regions without cells are left out.

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
    """Return the cell that is farthest from all others and from the edge; the centre of a ring would lie outside."""
    from scipy import ndimage  # only where there are names: pictures are drawn without SciPy

    distance = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    best = np.argwhere(distance == distance.max())
    row, column = best[np.abs(best - best.mean(0)).sum(1).argmin()]  # of several, the one in their middle
    return int(row), int(column)
