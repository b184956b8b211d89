"""Colour bars have the colours of the maps, as these look over grey."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

from shapleycam.drawing.colour_bars import ColourBar, bar_picture, css_gradient, heatmap_bar, values_bar
from shapleycam.drawing.overlays import OPACITY, on_picture, shade_of, signed_shade_of

MAPS = {"heatmap": (shade_of, 0.0), "values": (signed_shade_of, -1.0)}
"""Of each scale the function that colours a map, and the lowest value."""


def map_over_grey(scale: str, count: int, opacity: float) -> np.ndarray:
    """Return the colours (count, 3) of a map whose values grow from left to right, over a grey photograph."""
    shade, lowest = MAPS[scale]
    grey = torch.full((1, count, 3), 128, dtype=torch.uint8)
    return np.array(on_picture(grey, shade(torch.linspace(lowest, 1, count)[None], opacity)))[0].astype(int)


@pytest.mark.parametrize("scale", MAPS)
@pytest.mark.parametrize("opacity", [0.0, 0.3, OPACITY, 1.0])
def test_a_bar_is_what_a_map_of_growing_values_looks_like(scale, opacity):
    bar = np.array(bar_picture(scale, 201, 3, opacity)).astype(int)
    assert (bar == bar[:1]).all()
    assert np.abs(bar[0] - map_over_grey(scale, 201, opacity)).max() <= 2  # Pillow rounds the transparency first


@pytest.mark.parametrize("scale", MAPS)
def test_the_gradient_of_the_page_has_the_colours_of_the_picture(scale):
    css = css_gradient(scale)
    stops = [[int(colour[place : place + 2], 16) for place in (0, 2, 4)] for colour in re.findall(r"#(\w{6})", css)]
    assert css.startswith("linear-gradient(to right, #")
    assert np.abs(np.array(stops) - map_over_grey(scale, len(stops), OPACITY)).max() <= 2
    assert ColourBar(scale, "", "", "").css == css


def test_the_middle_of_signed_colours_is_nearer_to_the_grey_than_the_ends():
    distance = np.abs(np.array(bar_picture("values", 101, 1)).astype(int)[0] - 128).max(1)
    assert distance[50] < 0.5 * min(distance[0], distance[-1])


def test_ends_are_numbers_with_signs():
    assert (values_bar(0.23456, "").low, values_bar(0.23456, "").high) == ("-0.235", "+0.235")
    assert (values_bar(0.0, "").low, values_bar(0.0, "").high) == ("0", "0")
    assert (heatmap_bar().low, heatmap_bar().high) == ("0", "1")


def test_a_bar_may_be_as_small_as_a_pixel():
    assert isinstance(bar_picture("values", 1, 1), Image.Image)
