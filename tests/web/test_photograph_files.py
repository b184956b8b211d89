"""Photographs that visitors send: what is taken, and what is refused in one line."""

from __future__ import annotations

import pytest
from PIL import Image

from helpers.web_server import HOPPER
from shapleycam.errors import ImageError
from shapleycam.images import open_photograph
from shapleycam.web.photographs import Limits, check_photograph


def test_is_what_the_library_loads():
    photograph = check_photograph("x.jpg", HOPPER.read_bytes(), Limits())
    assert photograph.image().tobytes() == open_photograph(HOPPER).tobytes()


def test_limits():
    content = HOPPER.read_bytes()
    with pytest.raises(ImageError, match=r"^x: over the limit of 0.01 MB; make it smaller$"):
        check_photograph("x", content, Limits(megabytes=0.01))
    with Image.open(HOPPER) as opened:
        size = f"{opened.width} x {opened.height}"
    with pytest.raises(ImageError, match=f"^x: {size} is 0.3 megapixels, over the limit of 0.1; make it smaller$"):
        check_photograph("x", content, Limits(megapixels=0.1))
