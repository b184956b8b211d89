"""The tables of colours against matplotlib's own."""

import matplotlib as mpl
import numpy as np
import pytest

from shapleycam.drawing.colour_scales import heat_colours, signed_colours

SHARES = np.linspace(0, 1, 1001)


@pytest.mark.parametrize(
    ("name", "colours"), [("turbo", heat_colours(SHARES)), ("RdBu_r", signed_colours(2 * SHARES - 1))]
)
def test_colours_are_those_of_matplotlib_to_eight_bits(name, colours):
    expected = mpl.colormaps[name](SHARES)[:, :3]
    assert np.abs(colours - expected).max() <= 0.5 / 255 + 1e-9


def test_numbers_outside_the_scale_have_the_colour_of_its_end():
    assert heat_colours(np.array([-0.1, 1.1])).tolist() == heat_colours(np.array([0.0, 1.0])).tolist()
    assert signed_colours(np.array([-1.5, 2.0])).tolist() == signed_colours(np.array([-1.0, 1.0])).tolist()


def test_a_picture_keeps_its_shape():
    assert heat_colours(np.zeros((2, 3))).shape == (2, 3, 3)
