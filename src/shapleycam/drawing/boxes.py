"""The outline of a detected object in a picture."""

from __future__ import annotations

from PIL import Image, ImageDraw

from shapleycam.images import Box

_LINES_PER_SIDE = 400
"""The picture's longer side, divided by the thickness of a line."""


def draw_box(picture: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    """Return a copy of a picture with a box's outline, white with black beside it to be visible on every colour.

    Args:
        picture: a picture of any size: an overlay may be smaller than its photograph.
        box: (left, top, right, bottom) in pixels of the photograph.
        size: (width, height) of the photograph.

    Examples:
        >>> from PIL import Image
        >>> picture = draw_box(Image.new("RGB", (50, 50), "red"), (20, 20, 60, 60), (100, 100))
        >>> picture.getpixel((10, 10)), picture.getpixel((20, 20))
        ((255, 255, 255), (255, 0, 0))
    """
    outlined = picture.convert("RGB")
    x_scale, y_scale = outlined.width / size[0], outlined.height / size[1]
    left, right = (round(min(max(edge * x_scale, 0), outlined.width - 1)) for edge in box[::2])
    top, bottom = (round(min(max(edge * y_scale, 0), outlined.height - 1)) for edge in box[1::2])
    thickness = max(1, round(max(outlined.size) / _LINES_PER_SIDE))
    draw = ImageDraw.Draw(outlined)
    for colour, inset in (("white", 0), ("black", thickness)):
        corners = (left + inset, top + inset, max(left, right - inset), max(top, bottom - inset))
        if corners[2] > corners[0] and corners[3] > corners[1]:
            draw.rectangle(corners, outline=colour, width=thickness)
    return outlined
