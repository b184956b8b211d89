"""Pictures and colours inside an HTML text, which then needs no other file."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

_STOPS = 17


def address(content: bytes, kind: str) -> str:
    """Content as the address of itself; `kind` is its media type."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def encoded(picture: Image.Image, form: str, **how: Any) -> bytes:
    """A picture as the bytes of a file."""
    buffer = BytesIO()
    picture.save(buffer, format=form, **how)
    return buffer.getvalue()


def picture_address(picture: Image.Image, form: str = "PNG", **how: Any) -> str:
    """A picture as the address of itself; `how` is as Pillow takes it for that form."""
    return address(encoded(picture, form, **how), f"image/{form.lower()}")


def gradient(name: str) -> str:
    """The colours of one of matplotlib's maps, as CSS has them."""
    colours = (to_hex(colour) for colour in mpl.colormaps[name](np.linspace(0, 1, _STOPS)))
    return f"linear-gradient(to right, {', '.join(colours)})"
