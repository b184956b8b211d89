"""What the tests of reports look for in a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

_VOID = {"meta", "link", "img", "br", "hr", "input"}
_HEADINGS = ("h1", "h2", "h3", "h4")


@dataclass
class Found:
    """A page taken apart: tags with their attributes, headings, texts and what did not close."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    text: str = ""
    unclosed: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def addresses(self) -> list[str]:
        """Whatever a browser would follow or fetch."""
        names = ("src", "href", "srcset", "action", "data", "poster", "background")
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name in names]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Found()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.tags.append((tag, dict(attrs)))
        if tag in _HEADINGS:
            self.found.headings.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"
        self.found.text += " " if tag in {"th", "td"} else ""

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.found.text += data


def read(page: bytes) -> Found:
    parser = _Parser()
    parser.feed(page.decode())
    parser.found.unclosed = parser.open
    parser.found.text = " ".join(parser.found.text.split())
    return parser.found


def assert_stands_alone(page: bytes) -> Found:
    """One file that fetches nothing, with headings in order, a picture's words, and a way to each section."""
    found = read(page)
    assert not found.unclosed
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    assert not re.findall(rb"@import|url\(", page)
    assert found.all("html") == [{"lang": "en"}]
    levels = [_HEADINGS.index(heading) for heading in found.headings]
    assert levels[0] == 0
    assert levels.count(0) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image["alt"] and image["width"] and image["height"] for image in found.all("img"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in found.all("a")} == {f"#{one}" for one in ids}
    return found
