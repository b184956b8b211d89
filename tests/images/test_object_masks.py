"""Polygons and COCO's run lengths, with a pencil."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.run_lengths import compress_run_lengths
from shapleycam.images.object_masks import decode_run_lengths, mask_from_polygons, mask_from_run_lengths


def rows(mask: np.ndarray) -> list[str]:
    assert mask.dtype == np.bool_
    return ["".join("#" if cell else "." for cell in row) for row in mask]


class TestPolygons:
    def test_square_is_as_wide_as_its_edges_say(self):
        assert rows(mask_from_polygons([[1, 1, 4, 1, 4, 3, 1, 3]], 6, 4)) == ["......", ".###..", ".###..", "......"]

    def test_direction_does_not_matter(self):
        square = [[1, 1, 1, 3, 4, 3, 4, 1]]
        assert rows(mask_from_polygons(square, 6, 4)) == ["......", ".###..", ".###..", "......"]

    def test_triangle(self):
        """Below the line y = 1.1 x: it crosses the middles of the columns at 0.55, 1.65, 2.75 and 3.85."""
        assert rows(mask_from_polygons([[0, 0, 4, 4.4, 0, 4.4]], 4, 4)) == ["....", "#...", "##..", "###."]

    def test_hole_by_even_odd(self):
        """An outline that goes round a square, and on round a smaller one within."""
        outline = [0, 0, 5, 0, 5, 5, 0, 5, 0, 0, 1, 1, 4, 1, 4, 4, 1, 4, 1, 1]
        assert rows(mask_from_polygons([outline], 5, 5)) == ["#####", "#...#", "#...#", "#...#", "#####"]

    def test_two_overlapping_ones_are_a_union(self):
        squares = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 0, 3, 0, 3, 2, 1, 2]]
        assert rows(mask_from_polygons(squares, 4, 2)) == ["###.", "###."]

    def test_beyond_the_photograph(self):
        assert rows(mask_from_polygons([[-9, -9, 2, -9, 2, 99, -9, 99]], 4, 3)) == ["##..", "##..", "##.."]
        assert not mask_from_polygons([[10, 0, 20, 0, 20, 9]], 4, 3).any()

    @pytest.mark.parametrize(
        "polygon", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [0, 0, 1, 0, float("nan"), 1], [0, 0, 1e300, 0, 1, 1]]
    )
    def test_refused(self, polygon):
        with pytest.raises(ValueError, match="three points or more"):
            mask_from_polygons([polygon], 4, 4)


class TestRuns:
    def test_down_the_columns(self):
        """2 off, 3 on, 1 off, on 2 columns of 3."""
        assert rows(mask_from_run_lengths([2, 3, 1], 2, 3)) == [".#", ".#", "#."]

    def test_beginning_with_an_object(self):
        assert rows(mask_from_run_lengths([0, 4], 2, 2)) == ["##", "##"]

    @pytest.mark.parametrize("counts", [[], [3], [5], [-1, 5], [1.5, 2.5], [10**30], ["4"], [[4]]])
    def test_refused(self, counts):
        with pytest.raises((ValueError, TypeError)):
            mask_from_run_lengths(counts, 2, 2)


class TestCompressed:
    @pytest.mark.parametrize(
        ("text", "counts"),
        [
            ("5", [5]),
            ("`1", [48]),  # "`" is 48 above "0": five bits of 16, and more to come; 1 counts 32
            ("1234", [1, 2, 3, 6]),  # the fourth is 4 more than the second
            ("555O", [5, 5, 5, 4]),  # "O" is 31 above "0", which is -1 in five bits
        ],
    )
    def test_with_a_pencil(self, text, counts):
        assert decode_run_lengths(text) == counts

    def test_mask_of_two_by_two(self):
        """The runs 1, 1, 0, 2 fill all but the first pixel; 2 is 1 more than the second."""
        assert rows(mask_from_run_lengths(decode_run_lengths("1101"), 2, 2)) == [".#", "##"]

    @given(st.lists(st.integers(0, 200_000), min_size=1, max_size=30))
    def test_there_and_back(self, counts):
        assert decode_run_lengths(compress_run_lengths(counts)) == counts

    @pytest.mark.parametrize("text", ["P", "1P", "/", "p", "é", "P" * 50])
    def test_refused(self, text):
        with pytest.raises(ValueError, match="compressed run lengths"):
            decode_run_lengths(text)
