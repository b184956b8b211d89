"""Photographs of every kind, by choosing, dropping and pasting: each is explained as the library explains the file."""

from __future__ import annotations

from itertools import cycle

import pytest
from PIL import Image

from helpers.picture_files import FILES
from helpers.web_library import COLOURS, expect_explained

WAYS = dict(zip(FILES, cycle(["choose", "drop", "paste"]), strict=False))


@pytest.fixture(scope="module")
def upright(photographs):
    with Image.open(photographs[2]) as opened:
        return opened.resize((150, 100))


@pytest.mark.parametrize(("name", "way"), WAYS.items())
def test_each_kind_of_file(name, way, visit, colours, upright, tmp_path):
    content = FILES[name][1](upright)
    (tmp_path / name).write_bytes(content)
    visitor = visit()
    visitor.open("explain", model=COLOURS, target="red")
    before = visitor.page.url
    visitor.hand_over(way, name, content)
    visitor.page.wait_for_url(lambda url: url != before)
    assert visitor.question.model == COLOURS
    assert visitor.question.target == ""  # of a new photograph the predicted class is explained
    expected = colours.explain(tmp_path / name)
    expect_explained(visitor.answer(), expected)
    if name == "rotated.png":
        assert float(expected.utility[0]) == float(colours.explain(upright).utility[0])
