"""The components: valid HTML without style attributes, all text escaped, colours that are the drawing's."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
import torch
from jinja2 import UndefinedError

from shapleycam.drawing.overlays import shade_of, signed_shade_of
from shapleycam.html import ASSETS, GLOSSARY, read_asset, template_environment

HOSTILE = "<img src=x onerror=alert(1)>\"'{{ 7 * 7 }}"
MAP = {
    "kind": "values", "alt": HOSTILE, "title": HOSTILE, "width": 40, "height": 30, "photo": "picture?a=1&b=2",
    "shade": "s", "box": (5, 0, 30, 30),
    "view_box": (0, 0, 40, 30), "grid": '{"rows": 1, "columns": 1, "values": ["<1"]}', "unit": HOSTILE,
}  # fmt: skip
CALLS = {
    "message": "c.message(x)",
    "hint": "c.hint(x, x, x)",
    "progress": "c.progress(x, 0.5)",
    "facts": "c.facts([(x, x, 'curvature'), (x, x, none)])",
    "table": "c.table(x, [x, (x, 'v(S)')], [[x, x]])",
    "colour_bar": "c.colour_bar('values', x, x, x)",
    "figure": "c.figure(x, x, 3, 4, x)",
    "map": "c.map(map)",
    "share": "c.share(0.25)",
    "downloads": "c.downloads([(x, x, x)])",
    "glossary": "c.glossary()",
}


def render(call: str) -> str:
    template = '{% import "components.html" as c %}{{ ' + call + " }}"
    return template_environment("shapleycam.html").from_string(template).render(x=HOSTILE, map=MAP)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_somebody_named_is_text_and_nothing_needs_a_policy_with_holes(call):
    html, attributes = render(call), []
    parser = HTMLParser()
    parser.handle_starttag = lambda _, pairs: attributes.extend(name for name, _ in pairs)
    parser.feed(html)
    assert "<img src=x" not in html
    assert "49" not in html
    assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_an_unknown_term_is_a_fault():
    with pytest.raises(UndefinedError):
        render("c.term('entropy of everything')")


def test_each_term_has_a_sentence_that_its_button_opens():
    ids = set(re.findall(r'<div popover id="([^"]+)"', render("c.glossary()")))
    assert {re.search(r'popovertarget="([^"]+)"', render(f"c.term('{name}')")).group(1) for name in GLOSSARY} == ids


@pytest.mark.parametrize(("kind", "draw", "low"), [("heatmap", shade_of, 0), ("values", signed_shade_of, -1)])
def test_the_bars_have_the_colours_and_the_opacity_of_the_maps(kind, draw, low):
    gradient = re.search(rf"--bar-{kind}: linear-gradient\(to right, (.*)\);", read_asset("style.css")).group(1)
    stops = [bytes.fromhex(stop) for stop in re.findall(r"#([0-9a-f]{6})", gradient)]
    shown = draw(torch.linspace(low, 1, len(stops))[None], 1.0)
    for place, colour in enumerate(stops):
        *over, opacity = shown.getpixel((place, 0))
        share = opacity / 255
        assert colour == pytest.approx([share * channel + (1 - share) * 128 for channel in over], abs=2)


def test_assets_load_nothing_from_elsewhere():
    for name in ASSETS:
        assert not re.search(r"https?:|@import|url\(", read_asset(name))
