"""A reader of HTML pages for the tests of reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

_VOID = {"meta", "link", "img", "br", "hr", "input"}
_HEADINGS = ("h1", "h2", "h3", "h4")


@dataclass
class ParsedPage:
    """A page taken apart: tags with their attributes, headings, texts and what did not close."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    text: str = ""
    unclosed: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def addresses(self) -> list[str]:
        """Return the addresses that a browser would follow or fetch."""
        names = ("src", "href", "srcset", "action", "data", "poster", "background")
        return [value or "" for _, attributes in self.tags for name, value in attributes.items() if name in names]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = ParsedPage()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.page.tags.append((tag, dict(attrs)))
        if tag in _HEADINGS:
            self.page.headings.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"
        self.page.text += " " if tag in {"th", "td"} else ""

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.page.text += data


def parse_page(page: bytes) -> ParsedPage:
    parser = _Parser()
    parser.feed(page.decode())
    parser.page.unclosed = parser.open
    parser.page.text = " ".join(parser.page.text.split())
    return parser.page


def assert_stands_alone(content: bytes) -> ParsedPage:
    """Check a page: nothing is fetched, headings are in order, images have texts, every section has a link."""
    page = parse_page(content)
    assert not page.unclosed
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.findall(rb"@import|url\(", content)
    assert page.all("html") == [{"lang": "en"}]
    levels = [_HEADINGS.index(heading) for heading in page.headings]
    assert levels[0] == 0
    assert levels.count(0) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image["alt"] and image["width"] and image["height"] for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.all("a")} == {
        f"#{each}" for each in ids if not (each or "").startswith("term-")
    }
    return page
