"""Names of regions in pictures: inside their regions, on the picture, and cut where they are long."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shapleycam.drawing.lettering import shortened, text_width
from shapleycam.drawing.region_names import write_names


def written(labels, names, size=(300, 200)):
    """The pixels (height, width) that have letters."""
    picture = Image.new("RGBA", size)
    write_names(picture, np.asarray(labels), names)
    return np.array(picture)[..., 3] > 0


def test_a_name_is_in_the_middle_of_its_region():
    labels = np.repeat([[0] * 9 + [1] * 21], 21, axis=0)
    rows, columns = written(labels, ["", "dog"]).nonzero()
    assert abs((rows.min() + rows.max()) / 2 - 100) <= 6
    assert abs((columns.min() + columns.max()) / 2 - 195) <= 3


def test_a_ring_has_its_name_on_itself():
    """The middle of the ring is in the hole, which is another region."""
    labels = np.zeros((20, 30), int)
    labels[3:12, 4:26] = 1  # so that the ring is widest below
    rows, _ = written(labels, ["", ""], (300, 200)).nonzero()
    assert not len(rows)
    rows, _ = written(labels, ["ring", ""]).nonzero()
    assert rows.min() >= 120


def test_a_name_at_the_edge_is_moved_onto_the_picture_whole():
    labels = np.zeros((10, 30), int)
    labels[:, :1] = 1
    inner, at_edge = (written(np.ones((1, 1), int), ["", "armchair"]), written(labels, ["", "armchair"]))
    assert at_edge.any(0)[0]
    assert at_edge.sum() == inner.sum()


def test_regions_without_cells_are_left_out():
    assert not written([[0]], ["", "cat"]).any()


@pytest.mark.parametrize("width", [40, 90, 200])
def test_a_long_name_is_cut_to_the_width(width):
    name = "a very long name of an object"
    cut = shortened(name, width, 12)
    assert text_width(cut, 12) <= width
    assert cut == name or (cut.endswith("…") and name.startswith(cut[:-1]))
    longer = f"{name[: len(cut)]}…"
    assert cut == name or text_width(longer, 12) > width or name[len(cut) - 1] == " "
