"""The site of the documentation is whole: links, pictures, formulas, reference; it loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import shapleycam

exceptions = pytest.importorskip("mkdocs.exceptions", reason="needs mkdocs, of the extra docs")

ROOT = Path(__file__).parents[2]
LARGEST_PICTURE = 150_000
"""Bytes of a figure of docs/theory.md and docs/notebooks/."""


class Page(HTMLParser):
    """What a page loads and links to, its anchors, pictures without a description, headings and running text."""

    LOADED_LINKS = frozenset({"stylesheet", "icon", "manifest", "preload", "prefetch", "modulepreload", "preconnect"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.nameless: list[str] = []
        self.headings: list[str] = []
        self.running_text = ""
        self.classes: set[str] = set()
        self._open: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self._open.append(tag)
        self.anchors.update(attributes[name] for name in ("id", "name") if name in attributes)
        self.classes.update(attributes.get("class", "").split(), [attributes.get("data-md-component", "")])
        self.loaded += [attributes[name] for name in ("src", "srcset", "poster", "data") if name in attributes]
        self.loaded += re.findall(r"url\(([^)]*)\)", attributes.get("style", ""))
        if tag == "link" and self.LOADED_LINKS & set(attributes.get("rel", "").split()):
            self.loaded.append(attributes["href"])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img" and not attributes.get("alt"):
            self.nameless.append(attributes.get("src", ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if any(re.fullmatch("h[1-6]", tag) for tag in self._open):
            self.headings.append(data.strip())
        if not {"code", "script", "style"} & set(self._open):
            self.running_text += data


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def elsewhere(urls: list[str]) -> list[str]:
    """Return the addresses on other machines."""
    return [url for url in urls if re.match(r"\s*['\"]?(\w+:)?//", url)]


def test_pages_load_nothing_from_elsewhere(pages):
    assert len(pages) > 20
    assert not {name: addresses for name, page in pages.items() if (addresses := elsewhere(page.loaded))}


def test_styles_load_nothing_from_elsewhere(site):
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not elsewhere([url for css in styles for url in re.findall(r"(?:url\(|@import\s+)([^);]*)", css)])


WHERE_ASKED_FOR = {
    "https://unpkg.com/mermaid": "mermaid",
    "https://unpkg.com/resize-observer-polyfill": "",
    "https://api.github.com/": "source",
    "https://${": "source",
    "https://clipboardjs.com/": "",
}
"""Addresses in the theme's script, and what on a page makes it load them: "" is nothing in any browser since 2020."""


def test_scripts_load_nothing_from_elsewhere(site, pages):
    scripts = [path.read_text(encoding="utf-8") for path in site.glob("assets/javascripts/bundle*.js")]
    scripts += [(site / "assets/site.js").read_text(encoding="utf-8")]
    scripts += re.findall(r"<script[^>]*>(.*?)</script>", "".join(page.text for page in pages.values()), re.DOTALL)
    addresses = {url for script in scripts for url in re.findall(r"https?://[^\s\"'`)]+", script)}
    assert not [url for url in addresses if not url.startswith(tuple(WHERE_ASKED_FOR))]
    asking_classes = {name for name in WHERE_ASKED_FOR.values() if name}
    assert not {name: page.classes & asking_classes for name, page in pages.items() if page.classes & asking_classes}


def broken(site: Path, pages: dict[str, Page], name: str, address: str) -> bool:
    """Whether an address on a page leads to no file of the site, or to an anchor that its page does not have."""
    target, fragment = urldefrag(unquote(address))
    path = (site / name).parent / target if target else site / name
    if path.is_dir():
        path /= "index.html"
    if not path.is_file():
        return True
    page = pages.get(path.resolve().relative_to(site.resolve()).as_posix())
    return bool(fragment) and (page is None or fragment not in page.anchors)


def test_links_pictures_and_anchors_lead_somewhere(site, pages):
    local = {
        name: [url for url in (*page.links, *page.loaded) if not re.match(r"\w+:|//|/", url)]
        for name, page in pages.items()
        if name != "404.html"  # served at any address: its own are absolute
    }
    assert sum(map(len, local.values())) > 1000
    assert not [(name, url) for name, urls in local.items() for url in urls if broken(site, pages, name, url)]


def test_every_picture_has_a_description(pages):
    assert not {name: page.nameless for name, page in pages.items() if page.nameless}


def test_figures_are_small(site):
    figures = [*site.glob("images/theory/*"), *site.glob("images/notebooks/*")]
    assert len(figures) > 20
    assert not [figure.name for figure in figures if figure.stat().st_size > LARGEST_PICTURE]


def test_every_formula_is_typeset(pages):
    assert pages["theory.html"].text.count("<math") > 50
    assert not [name for name, page in pages.items() if "arithmatex" in page.classes]
    assert not {name for name, page in pages.items() if re.search(r"\$\$|\\\(|\\[a-z]+\{", page.running_text)}


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class AnyPage:
    """A page, as far as the hooks look at it."""

    class file:  # noqa: N801  # an attribute of mkdocs' pages
        src_uri = "theory.md"


def test_a_formula_becomes_mathml(hooks):
    content = (
        r'<p>If <span class="arithmatex">\(n &lt; 2^k\)</span></p><div class="arithmatex">\[' + "\n" + r"x\]</div>"
    )
    inline, block = hooks.on_page_content(content, page=AnyPage).split("</p>")
    assert "<mi>n</mi><mo>&lt;</mo>" in inline
    assert "<msup><mn>2</mn><mi>k</mi></msup>" in inline
    assert "display" not in inline
    assert '<div class="formula"><math display="block"><mi>x</mi></math></div>' in block


def test_a_formula_that_cannot_be_typeset_ends_the_build(hooks):
    with pytest.raises(exceptions.PluginError, match=r"theory.md: the formula '\\\\fra\{1\}' cannot be typeset: "):
        hooks.on_page_content(r'<span class="arithmatex">\(\fra{1}\)</span>', page=AnyPage)


def public_names() -> list[str]:
    """Return the public names of `shapleycam` and of its modules."""
    names = [f"shapleycam.{name}" for name in shapleycam.__all__ if name != "__version__"]
    for module in ("values", "utilities", "metrics", "experiments", "fidelity"):
        exported = import_module(f"shapleycam.{module}").__all__
        names += [f"shapleycam.{module}.{name}" for name in exported]
    return names


def test_every_public_name_is_in_the_reference(pages):
    headings = {word for name, page in pages.items() if name.startswith("api/") for word in page.headings}
    assert not [name for name in public_names() if name not in headings]


def test_the_reference_shows_examples(pages):
    prompts = {name: page.text.count("&gt;&gt;&gt;") for name, page in pages.items() if name.startswith("api/")}
    del prompts["api/index.html"]
    assert len(prompts) > 5
    assert all(prompts.values()), prompts
