"""The borders of regions: where labels differ, and nowhere else, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from shapleycam.drawing.borders import Borders


def drawn(labels: list[list[int]], size: tuple[int, int]) -> np.ndarray:
    """Return where something is drawn."""
    return np.array(Borders(np.array(labels)).draw(size))[..., 3] > 0


@pytest.mark.parametrize("size", [(40, 40), (41, 37), (600, 450)])
def test_a_line_lies_between_two_regions_and_nowhere_else(size):
    columns = np.nonzero(drawn([[0, 1]], size).all(0))[0]
    middle = size[0] / 2
    assert len(columns)
    assert abs(columns.mean() + 0.5 - middle) <= 2
    assert np.abs(columns + 0.5 - middle).max() <= max(4, size[0] / 80)
    assert (drawn([[0, 1]], size).any(0) == drawn([[0, 1]], size).all(0)).all()


def test_lines_are_of_labels_not_of_their_size():
    assert np.array_equal(drawn([[0, 1], [2, 3]], (30, 30)), drawn([[9, 4], [-5, 7]], (30, 30)))


def test_one_region_has_no_line():
    assert not drawn([[3, 3], [3, 3]], (30, 30)).any()


def test_it_is_white_inside_a_dark_edge():
    pixels = np.array(Borders(np.array([[0, 1]])).draw((40, 40)))[20]
    assert (pixels[20 - 1] == (255, 255, 255, 230)).all()
    dark = pixels[(pixels[:, 3] > 0) & (pixels[:, 0] == 0)]
    assert len(dark) == 2
