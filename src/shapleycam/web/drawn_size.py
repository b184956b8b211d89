"""The size of photographs as backgrounds of the page's pictures."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from shapleycam.explaining.photographs import PreparedPhotograph

_LONGEST_SIDE = 1280
"""Maximum pixels of the longer side of a photograph that is a background."""


def shrink_photograph(prepared: PreparedPhotograph) -> PreparedPhotograph:
    """Return the same image with its photograph shrunk to a longer side of at most `_LONGEST_SIDE`."""
    photo, box = prepared.source.photo, prepared.source.box
    if not isinstance(photo, Image.Image):
        return prepared
    scale = min(1.0, _LONGEST_SIDE / max(photo.size))
    if scale == 1:
        return prepared
    small = photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))))
    across, down = small.width / photo.width, small.height / photo.height
    moved = None if box is None else (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    return prepared._replace(source=replace(prepared.source, photo=small, box=moved))
