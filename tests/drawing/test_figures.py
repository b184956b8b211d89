"""Pictures side by side."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shapleycam.drawing.figures import grid

COLOURS = ["red", "lime", "blue", "yellow", "magenta"]


def places(picture: Image.Image) -> dict[str, tuple[float, float]]:
    """Return the centre (x, y) of the pixels of each pure colour."""
    pixels = np.array(picture)
    centres = {}
    for colour in COLOURS:
        same = (pixels == Image.new("RGB", (1, 1), colour).getpixel((0, 0))).all(2)
        if same.any():
            centres[colour] = tuple(float(axis.mean()) for axis in np.nonzero(same)[::-1])
    return centres


def panels(count: int, size: tuple[int, int] = (40, 40), title: str = "") -> list[tuple[str, Image.Image]]:
    return [(title, Image.new("RGB", size, colour)) for colour in COLOURS[:count]]


def test_panels_are_in_rows_in_the_order_given():
    centres = places(grid(panels(5), columns=3, caption=""))
    x, y = ({colour: place[axis] for colour, place in centres.items()} for axis in (0, 1))
    assert list(centres) == COLOURS
    assert x["red"] < x["lime"] < x["blue"]
    assert x["yellow"] == pytest.approx(x["red"], abs=1)
    assert x["magenta"] == pytest.approx(x["lime"], abs=1)
    assert y["red"] == pytest.approx(y["blue"], abs=1)
    assert y["yellow"] > y["red"]


def test_there_are_no_more_columns_than_panels():
    single, four = grid(panels(1), columns=4, caption=""), grid(panels(4), columns=4, caption="")
    assert four.width == pytest.approx(4 * single.width, abs=4)
    assert four.height == pytest.approx(single.height, abs=4)


def test_a_tall_picture_gets_a_tall_panel():
    assert grid(panels(1, size=(40, 80)), 1, "").height > grid(panels(1), 1, "").height


def test_titles_and_caption_are_written():
    def black(picture: Image.Image) -> int:
        return int((np.array(picture) == 0).all(2).sum())

    nothing, title, both = (
        grid(panels(2, title=title), 2, caption) for title, caption in [("", ""), ("a title", ""), ("a title", "below")]
    )
    assert black(nothing) == 0 < black(title) < black(both)


def test_a_dollar_sign_in_a_label_is_not_taken_for_mathematics():
    picture = grid(panels(1, title=r"$\frac$"), 1, r"between $5 and $\sqrt")
    assert "red" in places(picture)
