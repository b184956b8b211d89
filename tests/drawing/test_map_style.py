"""Styles of maps: which cells a top share shows, colour maps by name, contours, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image

from shapleycam.drawing.colour_bars import bar_picture, heatmap_bar, relative_values_bar, values_bar
from shapleycam.drawing.colour_scales import colours_by_name, find_colour_map, heat_colours
from shapleycam.drawing.contours import Contours
from shapleycam.drawing.map_style import MapStyle
from shapleycam.drawing.overlays import contours_of, hide, shade_of, signed_shade_of
from shapleycam.errors import OptionError

VALUES = torch.tensor([[4.0, 3.0, -6.0], [2.0, 1.0, -4.0]])
"""Positive values of 10 together, negative ones of 10, and 20 of either sign."""


def cells(style: MapStyle, sign: str, values: torch.Tensor = VALUES) -> list[float]:
    """Return the values of the cells that are shown, in order."""
    return sorted(values[style.shown(values, sign)].tolist())


@pytest.mark.parametrize(
    ("share", "sign", "shown"),
    [
        (0.4, "positive", [4]),
        (0.41, "positive", [3, 4]),
        (0.7, "positive", [3, 4]),
        (1.0, "positive", [1, 2, 3, 4]),
        (1e-9, "positive", [4]),
        (0.6, "negative", [-6]),
        (0.61, "negative", [-6, -4]),
        (0.5, "both", [-6, -4, 4]),
        (0.3, "both", [-6]),
    ],
)
def test_the_fewest_cells_that_hold_a_share_of_the_value(share, sign, shown):
    if share == 0.5:  # -6 and one of 4 and -4 hold exactly half: the other is as strong, and is shown too
        assert 0.5 * VALUES.abs().sum() == 6 + 4
    assert cells(MapStyle(top_value=share), sign) == shown


@pytest.mark.parametrize(
    ("share", "sign", "shown"),
    [
        (1 / 6, "positive", [4]),
        (0.17, "positive", [3, 4]),  # 1.02 cells, rounded up
        (0.5, "positive", [2, 3, 4]),
        (1.0, "positive", [1, 2, 3, 4]),  # cells without strength are never shown
        (1 / 3, "negative", [-6, -4]),
        (1 / 6, "both", [-6]),
        (1 / 3, "both", [-6, -4, 4]),
    ],
)
def test_the_strongest_cells_of_a_share_of_the_area(share, sign, shown):
    assert cells(MapStyle(top_area=share), sign) == shown


@pytest.mark.parametrize("style", [MapStyle(top_value=0.5), MapStyle(top_area=0.5)])
def test_where_nothing_has_the_sign_nothing_is_shown(style):
    assert not style.shown(-VALUES.abs(), "positive").any()
    assert not style.shown(torch.zeros(2, 2), "both").any()


def test_the_share_is_the_one_by_brute_force():
    """No set of fewer cells holds as much as those that are shown."""
    values = torch.randn(4, 4, generator=torch.Generator().manual_seed(3))
    ordered = values.clamp(min=0).flatten().sort(descending=True).values
    for share in (0.2, 0.5, 0.9):
        count = int(MapStyle(top_value=share).shown(values, "positive").sum())
        assert float(ordered[:count].sum()) >= share * float(ordered.sum())
        assert float(ordered[: count - 1].sum()) < share * float(ordered.sum())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colours": "virids"}, "colour map 'virids' is unknown; did you mean 'viridis'"),
        ({"colours": 3}, "colour map 3 is unknown"),
        ({"colours": ["jet"]}, "colour map ['jet'] is unknown"),
        ({"contours": -1}, "contours=-1; expected a whole number from 0 (no lines) to 50"),
        ({"contours": 51}, "contours=51; expected"),
        ({"contours": 2.0}, "contours=2.0; expected"),
        ({"contours": True}, "contours=True; expected"),
        ({"top_value": 20}, "top_value=20; expected a share above 0 and up to 1, such as 0.2 for 20%"),
        ({"top_value": 0}, "top_value=0; expected"),
        ({"top_area": float("nan")}, "top_area=nan; expected"),
        ({"top_area": "0.5"}, "top_area='0.5'; expected"),
        ({"top_value": 0.5, "top_area": 0.5}, "top_value=0.5 and top_area=0.5 were both given"),
        ({"sign": "negativ"}, "sign 'negativ' is unknown; did you mean 'negative'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(fields, message):
    with pytest.raises(OptionError) as caught:
        MapStyle(**fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_colour_map_of_matplotlib_has_its_name_and_colours():
    shares = np.array([0.0, 0.3, 1.0])
    for name in list(colormaps):
        assert find_colour_map(name) == name
        assert find_colour_map(name.upper().replace("_", "-")) == name
        assert np.array_equal(colours_by_name(name, shares), colormaps[name](shares))


def test_the_librarys_own_colours_are_turbo_and_red_to_blue():
    shares = np.linspace(0, 1, 97)
    assert np.allclose(colours_by_name("turbo", shares)[:, :3], heat_colours(shares), atol=1 / 255)
    heat, values = torch.linspace(0, 1, 9)[None], torch.linspace(-1, 1, 9)[None]
    for draw, numbers, name in ((shade_of, heat, "turbo"), (signed_shade_of, values, "RdBu_r")):
        own, named = (np.array(draw(numbers, 0.75, style)).astype(int) for style in (MapStyle(), MapStyle(name)))
        assert np.abs(own - named).max() <= 2


def test_the_middle_of_a_colour_map_is_zero_of_signed_values():
    shade = np.array(signed_shade_of(torch.tensor([[-2.0, 0.0, 2.0]]), 1.0, MapStyle("bwr")))[0]
    assert [colour[:3].tolist() for colour in shade] == [[0, 0, 255], [255, 254, 254], [255, 0, 0]]


@pytest.mark.parametrize(("sign", "hidden"), [("positive", [0, 1]), ("negative", [1, 2])])
def test_of_signed_values_one_sign_is_drawn(sign, hidden):
    """The scale stays the same for both, so that strengths can be compared."""
    values = torch.tensor([[-2.0, 0.0, 1.0]])
    both, single = (np.array(signed_shade_of(values, 1.0, MapStyle(sign=each)))[0] for each in (None, sign))
    assert (single[hidden, 3] == 0).all()
    shown = [place for place in range(3) if place not in hidden]
    assert np.array_equal(single[shown], both[shown])


def test_hidden_cells_have_no_colour():
    shade = Image.new("RGBA", (4, 2), (255, 0, 0, 200))
    alphas = np.array(hide(shade, torch.tensor([[True, False]])))[..., 3]
    assert (alphas[:, :2] == 200).all()
    assert (alphas[:, 2:] == 0).all()


# Contours


def drawn_columns(contours: Contours, size: tuple[int, int]) -> np.ndarray:
    """Return the columns of a picture in which something is drawn."""
    return np.nonzero(np.array(contours.draw(size))[..., 3].any(0))[0]


def slope(width: int = 100) -> np.ndarray:
    """Return heat that grows from left to right, from 0 to 1."""
    return np.linspace(0, 1, width)[None].repeat(8, 0)


@pytest.mark.parametrize("size", [(100, 8), (600, 300), (50, 90)])
def test_a_line_lies_where_the_map_has_its_number(size):
    contours = contours_of("heatmap", slope(), MapStyle(contours=1), torch.ones(1, 1, dtype=torch.bool))
    assert contours.levels.tolist() == [0.5]
    columns = drawn_columns(contours, size)
    assert columns.mean() == pytest.approx(size[0] / 2 - 0.5, abs=1.5)
    assert len(columns) <= max(6, size[0] / 40)


def test_lines_are_at_equal_steps_on_both_sides_of_zero():
    shown = torch.ones(1, 1, dtype=torch.bool)
    signed = 2 * slope() - 1
    assert contours_of("heatmap", slope(), MapStyle(contours=3), shown).levels.tolist() == [0.25, 0.5, 0.75]
    for sign, levels in (
        (None, [-2 / 3, -1 / 3, 1 / 3, 2 / 3]),
        ("positive", [1 / 3, 2 / 3]),
        ("negative", [-2 / 3, -1 / 3]),
    ):
        drawn = contours_of("values", signed, MapStyle(contours=2, sign=sign), shown).levels
        assert sorted(drawn) == pytest.approx(levels)


def test_lines_have_the_colour_of_their_number():
    contours = contours_of("heatmap", slope(), MapStyle("gray", contours=1), torch.ones(1, 1, dtype=torch.bool))
    assert contours.colours == pytest.approx(np.full((1, 3), 128 / 255), abs=0.01)
    pixels = np.array(contours.draw((800, 400)))[200].astype(int)
    line = pixels[pixels[:, 3] == 255, :3]
    assert line.min(0) == pytest.approx([128] * 3, abs=3)
    assert (pixels[pixels[:, 3] > 0][0, :3] == 255).all()  # its edge, wherever it lies between two pixels


def test_lines_are_drawn_only_where_the_map_is_shown():
    numbers = slope().T.repeat(13, 1)  # lines go from left to right
    contours = contours_of("heatmap", numbers, MapStyle(contours=1), torch.tensor([[True, False]]))
    assert drawn_columns(contours, (60, 60)).tolist() == list(range(30))


@pytest.mark.parametrize("numbers", [np.zeros((4, 4)), np.ones((4, 4)), np.ones((1, 5)), np.ones((1, 1))])
def test_a_flat_map_has_no_lines(numbers):
    contours = contours_of("heatmap", numbers, MapStyle(contours=4), torch.ones(1, 1, dtype=torch.bool))
    assert contours.draw((20, 20)).getbbox() is None


# Colour bars


def test_bars_have_the_style_of_the_map():
    style = MapStyle("gray")
    bar = np.array(bar_picture("heatmap", 101, 1, opacity=1.0, style=style)).astype(int)[0]
    assert np.ptp(bar, axis=1).max() == 0  # grey all along
    assert np.array_equal(
        np.array(heatmap_bar(style).picture(50, 2)), np.array(bar_picture("heatmap", 50, 2, style=style))
    )
    assert heatmap_bar(style).css != heatmap_bar().css


def test_the_half_of_a_bar_whose_sign_is_not_drawn_has_no_colours():
    bar = np.array(bar_picture("values", 101, 1, style=MapStyle(sign="positive"))).astype(int)[0]
    assert (bar[:50] == 128).all()
    assert bar[-1, 0] > 2 * bar[-1, 2] / 1.5


def test_captions_say_what_is_shown():
    assert heatmap_bar().caption == "heat, relative to the strongest place of each map"
    negative = heatmap_bar(MapStyle(sign="negative", top_value=0.5)).caption
    assert negative == (
        "heat of what speaks against the class, relative to the strongest place of each map; "
        "shown: the fewest places that hold 50% of the negative value"
    )
    assert values_bar(2.0, "in units of logit").caption == "in units of logit"
    assert values_bar(2.0, "in units of logit", MapStyle(sign="positive", contours=1)).caption == (
        "in units of logit, positive values alone; 1 contour at equal steps of the scale"
    )
    bar = relative_values_bar("in units of logit", MapStyle(contours=2, top_area=0.25))
    assert (bar.low, bar.high) == ("-1", "+1")
    assert bar.caption.endswith(
        "shown: the strongest places, of 25% of the area; 2 contours at equal steps of the scale on each side of zero"
    )


@pytest.mark.slow
def test_pictures_in_the_librarys_own_style_import_neither_matplotlib_nor_contourpy():
    code = (
        "import sys, torch, shapleycam.explanations; from shapleycam.drawing.overlays import shade_of;"
        "from shapleycam.drawing.colour_bars import heatmap_bar;"
        "shade_of(torch.rand(4, 4), 0.75); heatmap_bar().picture(9, 9);"
        "print([name for name in ('matplotlib', 'contourpy') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"
