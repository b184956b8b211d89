"""Pictures side by side."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shapleycam.drawing.colour_bars import ColourBar, bar_picture, values_bar
from shapleycam.drawing.figures import grid
from shapleycam.errors import OptionError

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
    centres = places(grid(panels(5), columns=3))
    x, y = ({colour: place[axis] for colour, place in centres.items()} for axis in (0, 1))
    assert list(centres) == COLOURS
    assert x["red"] < x["lime"] < x["blue"]
    assert x["yellow"] == pytest.approx(x["red"], abs=1)
    assert x["magenta"] == pytest.approx(x["lime"], abs=1)
    assert y["red"] == pytest.approx(y["blue"], abs=1)
    assert y["yellow"] > y["red"]


def test_there_are_no_more_columns_than_panels():
    x = [place[0] for place in places(grid(panels(2), columns=4)).values()]
    assert x[1] - x[0] == pytest.approx((1600 - 12) / 2 + 12, abs=1)  # two share the width


@pytest.mark.parametrize(("width", "expected"), [(40, 480), (480, 480), (700, 700), (5000, 1280)])
def test_a_picture_that_is_alone_keeps_its_pixels_within_bounds(width, expected):
    pixels = np.array(grid(panels(1, size=(width, width // 2)), columns=1))
    red = (pixels == (255, 0, 0)).all(2)
    assert (red.any(0).sum(), red.any(1).sum()) == (expected, expected // 2)


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1)])
def test_a_line_of_pixels_can_be_a_panel(size):
    assert "red" in places(grid([("", Image.new("RGB", size, "red"))], columns=1))


def test_no_panels_are_refused():
    with pytest.raises(OptionError, match="0 panels in 3 columns; expected at least one of each"):
        grid([], columns=3)


@pytest.mark.parametrize("title", ["word " * 60, "x" * 400, "犬\nند\ud800"])
def test_a_long_title_is_wrapped_and_never_cut(title):
    short, long = grid(panels(1), 1, ["x"]), grid(panels(1), 1, [title])
    assert long.width == short.width
    margin = np.array(long)[:, -11:]
    assert (margin == 255).all()  # nothing is drawn beyond the figure's width


def test_a_bar_is_below_with_its_colours_ends_and_caption():
    def below(*bars: ColourBar) -> np.ndarray:
        pixels = np.array(grid(panels(1), 1, bars=bars))
        return pixels[np.nonzero((pixels == (255, 0, 0)).all(2).any(1))[0].max() + 1 :]

    assert (below() == 255).all()
    drawn = below(ColourBar("values", "", "", ""))
    row = drawn[(drawn != 255).any((1, 2))][0]
    expected = np.array(bar_picture("values", 420, 1))[0]
    assert (row[(row != 255).any(1)] == expected).all()
    black = [
        int((below(bar) < 40).all(2).sum()) for bar in (ColourBar("values", "-2", "+2", ""), values_bar(2, "unit"))
    ]
    assert 0 < black[0] < black[1]


def test_a_tall_picture_gets_a_tall_panel():
    assert grid(panels(1, size=(40, 80)), 1).height > grid(panels(1), 1).height


def test_titles_and_note_are_written():
    def black(picture: Image.Image) -> int:
        return int((np.array(picture) == 0).all(2).sum())

    nothing, title, both = (
        grid(panels(2, title=title), 2, note=note) for title, note in [("", ""), ("a title", ""), ("a title", "below")]
    )
    assert black(nothing) == 0 < black(title) < black(both)


def test_a_dollar_sign_in_a_label_is_not_taken_for_mathematics():
    picture = grid(panels(1, title=r"$\frac$"), 1, [r"between $5 and $\sqrt"])
    assert "red" in places(picture)
