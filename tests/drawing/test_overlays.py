"""Colours over photographs: the right colours, in the right place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from shapleycam.drawing.overlays import on_photo, on_picture, shade_of, signed_shade_of

SKIN = (200, 100, 50)
CLEAR = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
GREEN = Image.new("RGBA", (8, 8), (0, 255, 0, 255))


def photo(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), SKIN)


def bounding_box_of(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the bounding box (left, top, right, bottom) of the pixels of one colour."""
    rows, columns = np.nonzero((np.array(picture) == colour).all(2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


# Over the whole photograph


def test_the_colours_lie_in_the_place_of_the_crop_inside_a_line():
    assert bounding_box_of(on_photo(photo(400, 300), (50, 20, 330, 300), GREEN), (0, 255, 0)) == (51, 21, 329, 299)


def test_the_halves_of_a_map_lie_on_the_halves_of_the_crop():
    halves = Image.new("RGBA", (200, 200), (0, 255, 0, 255))
    halves.paste((0, 0, 255, 255), (100, 0, 200, 200))
    covered = np.array(on_photo(photo(400, 300), (100, 50, 300, 250), halves))
    assert (covered[150, 110:195] == (0, 255, 0)).all()
    assert (covered[150, 205:290] == (0, 0, 255)).all()


def test_what_the_network_did_not_see_is_grey_and_darker():
    pixels = np.array(on_photo(photo(400, 300), (100, 0, 400, 300), CLEAR))
    outside, inside = pixels[:, :100], pixels[1:-1, 101:-1]
    luminance = 0.299 * SKIN[0] + 0.587 * SKIN[1] + 0.114 * SKIN[2]
    assert (outside == outside[..., :1]).all()
    assert 0.4 * luminance < outside.mean() < 0.7 * luminance
    assert (inside == SKIN).all()


def test_a_crop_of_the_whole_photograph_has_no_frame():
    assert (np.array(on_photo(photo(60, 60), (0, 0, 60, 60), CLEAR)) == SKIN).all()


def test_a_crop_of_a_part_is_framed_in_white():
    pixels = np.array(on_photo(photo(60, 40), (10, 0, 50, 40), CLEAR))
    for edge in (pixels[:, 10], pixels[:, 49], pixels[0, 10:50], pixels[39, 10:50]):
        assert (edge == 255).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 480), (640, 480)), ((1280, 10), (1280, 10)), ((2560, 1920), (1280, 960)), ((900, 3600), (320, 1280))],
)
def test_the_overlay_is_as_large_as_the_photograph_up_to_1280_pixels(size, expected):
    assert on_photo(photo(*size), (0, 0, *size), GREEN).size == expected


def test_on_a_photograph_made_smaller_the_crop_keeps_its_place():
    assert bounding_box_of(on_photo(photo(2560, 2560), (640, 320, 1920, 1600), GREEN), (0, 255, 0)) == (
        321,
        161,
        959,
        799,
    )


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1), (1, 1)])
def test_a_line_of_pixels_can_be_drawn(size):
    width, height = size
    box = (0, (height - 1) / 2, 1, (height + 1) / 2) if width == 1 else ((width - 1) / 2, 0, (width + 1) / 2, 1)
    assert max(on_photo(photo(*size), box, GREEN).size) == min(1280, max(size))


def test_of_a_crop_that_reaches_outside_the_photograph_the_middle_is_shown():
    halves = Image.new("RGBA", (100, 100), (0, 255, 0, 255))
    halves.paste((0, 0, 255, 255), (50, 0, 100, 100))
    pixels = np.array(on_photo(photo(60, 60), (-20, -20, 80, 80), halves))
    assert (pixels[:, :28] == (0, 255, 0)).all()
    assert (pixels[:, 32:] == (0, 0, 255)).all()


# Over what the network saw


def test_over_the_input_the_colours_cover_all_of_it():
    picture = torch.full((20, 30, 3), 90, dtype=torch.uint8)
    covered = on_picture(picture, GREEN)
    assert covered.size == (30, 20)
    assert covered.mode == "RGB"
    assert (np.array(covered) == (0, 255, 0)).all()
    assert (np.array(on_picture(picture, CLEAR)) == 90).all()


def test_a_half_transparent_colour_is_mixed_in_half():
    white = torch.full((4, 4, 3), 255, dtype=torch.uint8)
    mixed = np.array(on_picture(white, Image.new("RGBA", (4, 4), (0, 0, 0, 128))))
    assert mixed == pytest.approx(127, abs=1)


# The colours


def colour_at(shade: Image.Image, column: int) -> tuple[int, int, int, int]:
    return shade.getpixel((column, 0))


def test_heat_goes_from_blue_to_red_and_hides_more_where_it_is_hot():
    shade = shade_of(torch.linspace(0, 1, 11)[None], opacity=0.8)
    cold, hot = colour_at(shade, 1), colour_at(shade, 9)
    assert cold[2] > cold[0]
    assert hot[0] > hot[2]
    alphas = [colour_at(shade, column)[3] for column in range(11)]
    assert alphas == sorted(set(alphas))
    assert alphas[-1] == pytest.approx(0.8 * 255, abs=1)


def test_red_speaks_for_the_class_blue_against_it_and_zero_is_neutral():
    shade = signed_shade_of(torch.tensor([[-2.0, -1.0, 0.0, 1.0, 2.0]]), opacity=0.8)
    against, zero, speaks_for = colour_at(shade, 0), colour_at(shade, 2), colour_at(shade, 4)
    assert speaks_for[0] > 2 * max(speaks_for[1:3])
    assert against[2] > 1.5 * max(against[:2])
    assert max(zero[:3]) - min(zero[:3]) <= 8
    assert min(zero[:3]) > 220


def test_a_value_shows_as_much_as_its_opposite_and_more_than_zero():
    shade = signed_shade_of(torch.tensor([[-2.0, -1.0, 0.0, 1.0, 2.0]]), opacity=0.8)
    alphas = [colour_at(shade, column)[3] for column in range(5)]
    assert alphas == alphas[::-1]
    assert alphas[0] > alphas[1] > alphas[2]


def test_signed_colours_are_relative_to_the_largest_value():
    values = torch.tensor([[-1.0, 0.5, 0.25]])
    assert signed_shade_of(values, 0.8).tobytes() == signed_shade_of(values * 1024, 0.8).tobytes()


def test_values_that_are_all_zero_are_neutral_everywhere():
    shade = signed_shade_of(torch.zeros(2, 3), opacity=0.8)
    assert len(np.unique(np.array(shade).reshape(-1, 4), axis=0)) == 1
    assert min(colour_at(shade, 0)[:3]) > 220


@pytest.mark.parametrize("make", [shade_of, signed_shade_of])
def test_no_opacity_leaves_the_photograph_as_it_is(make):
    shade = make(torch.rand(4, 4), opacity=0.0)
    assert (np.array(shade)[..., 3] == 0).all()
