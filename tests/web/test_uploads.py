"""Photographs of every kind, by choosing, dropping and pasting: each is explained as the library explains the file."""

from __future__ import annotations

import pytest
from PIL import Image

from helpers.picture_files import FILES
from helpers.web_library import COLOURS, expect_explained


def test_each_kind_of_file_by_each_way(visit, colours, photographs, tmp_path):
    """In one window; of each file the answer is checked, and of two kinds that all ways send the same file."""
    with Image.open(photographs[2]) as opened:
        upright = opened.resize((150, 100))
    visitor = visit()
    ways = ["choose", "drop", "paste"]
    for number, (name, (_, make)) in enumerate(FILES.items()):
        content, keys = make(upright), set()
        (tmp_path / name).write_bytes(content)
        expected = colours.explain(tmp_path / name)
        others = ways if name in {"photo.jpg", "moving.gif"} else []
        for way in dict.fromkeys([ways[number % 3], *others]):
            visitor.page.goto(f"{visitor.address}/explain?model={COLOURS}&class=red", wait_until="domcontentloaded")
            visitor.hand_over(way, name, content)
            visitor.page.wait_for_url("**photo=**")
            assert visitor.question.model == COLOURS
            assert visitor.question.target == "", (name, way)  # of a new photograph the predicted class is explained
            if not keys:
                expect_explained(visitor.answer(), expected)
            keys.add(visitor.question.photo)
        assert len(keys) == 1, name
        if name == "rotated.png":
            assert float(expected.utility[0]) == float(colours.explain(upright).utility[0])


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_a_file_that_is_no_photograph_is_refused_however_it_comes(way, visit):
    visitor = visit()
    visitor.open("explain", model=COLOURS)
    visitor.allowed.append("422")  # which the browser writes on its console
    visitor.hand_over(way, "photo.jpg", b"no photograph")
    visitor.page.locator("[role=alert]", has_text="not a photograph").wait_for()
