"""Photographs of every kind, by choosing, dropping and pasting: each is explained as the library explains the file."""

from __future__ import annotations

from itertools import cycle

import pytest
from PIL import Image

from conftest import COLOURS
from helpers.picture_files import FILES
from helpers.web_library import expect_explained

HAND_OVER = """([kind, name, type, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), each => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, {type}));
  const options = {bubbles: true, cancelable: true};
  if (kind === 'paste') {
    document.dispatchEvent(new ClipboardEvent('paste', {...options, clipboardData: data}));
    return;
  }
  const target = document.querySelector('#upload');
  for (const step of ['dragenter', 'dragover', 'drop'])
    target.dispatchEvent(new DragEvent(step, {...options, dataTransfer: data}));
}"""
"""What a browser does where a file is dropped or pasted."""
WAYS = dict(zip(FILES, cycle(["choose", "drop", "paste"]), strict=False))


def hand_over(visitor, way, name, content):
    from base64 import b64encode

    media_type = FILES[name][0] if name in FILES else "image/png"
    if way == "choose":
        files = [{"name": name, "mimeType": media_type, "buffer": content}]
        visitor.page.locator("#upload input[type=file]").set_input_files(files)
    else:
        visitor.page.evaluate(HAND_OVER, [way, name, media_type, b64encode(content).decode()])


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
    hand_over(visitor, way, name, content)
    visitor.page.wait_for_url(lambda url: url != before)
    assert visitor.question.model == COLOURS
    assert visitor.question.target == ""  # of a new photograph the predicted class is explained
    expected = colours.explain(tmp_path / name)
    expect_explained(visitor.answer(), expected)
    if name == "rotated.png":
        assert float(expected.utility[0]) == float(colours.explain(upright).utility[0])
