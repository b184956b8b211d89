"""Data URIs, which embed pictures in HTML so that it needs no other file."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image


def make_data_uri(content: bytes, kind: str) -> str:
    """Return bytes as a data URI; `kind` is their media type."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def encode_picture(picture: Image.Image, form: str, **save_options: Any) -> bytes:
    """Return the bytes of an image file in the format `form`; `save_options` are Pillow's for the format."""
    buffer = BytesIO()
    picture.save(buffer, format=form, **save_options)
    return buffer.getvalue()


def picture_data_uri(picture: Image.Image, form: str = "PNG", **save_options: Any) -> str:
    """Return a picture as a data URI; `save_options` are Pillow's for the format."""
    return make_data_uri(encode_picture(picture, form, **save_options), f"image/{form.lower()}")
