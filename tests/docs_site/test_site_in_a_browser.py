"""The site of the documentation in Chromium, on a phone and on a screen, light and dark.

SHAPLEYCAM_WHOLE_SITE=1 pytest tests/docs_site/test_site_in_a_browser.py     # each page in each: three minutes
"""

from __future__ import annotations

import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product

import pytest

from helpers.accessibility import SERIOUS, accessibility_violations

pytest.importorskip("playwright", reason="needs playwright, of the extra dev")

WIDTHS, SCHEMES = (390, 1280), ("light", "dark")
WHOLE = "SHAPLEYCAM_WHOLE_SITE" in os.environ
WINDOWS = list(product(WIDTHS, SCHEMES)) if WHOLE else [(390, "light"), (1280, "dark")]
KINDS = ("index", "theory", "gallery", "notebooks/first_steps", "api/values", "404")
"""A page of each kind, which are checked each time; axe-core takes most of a second a page."""
PROBLEMS = """() => {
    const problems = [];
    const scrolls = box => box && (/auto|scroll/.test(getComputedStyle(box).overflowX) || scrolls(box.parentElement));
    const width = document.documentElement.scrollWidth;
    if (width > innerWidth) problems.push(`the page is ${width} wide`);
    for (const element of document.querySelectorAll(".md-content *"))
        if (element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element.parentElement))
            problems.push(`${element.tagName} is wider than the window: ${element.textContent.slice(0, 60)}`);
    for (const math of document.querySelectorAll("math"))
        if (math.getBoundingClientRect().height < 5) problems.push(`a formula is not seen: ${math.textContent}`);
    for (const picture of document.images)
        if (!picture.naturalWidth) problems.push(`a picture is not shown: ${picture.src}`);
    return problems;
}"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_pages(chromium, site, address, width, scheme):
    """Nothing comes from another host or is wider than the window; formulas and pictures are seen; axe-core agrees."""
    problems, requests = [], []
    every = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    with chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        for name in every if WHOLE else [f"{kind}.html" for kind in KINDS]:
            page.goto(address + name)
            messages = page.evaluate(PROBLEMS) + accessibility_violations(page, SERIOUS)
            problems += [f"{name}: {message}" for message in messages]
        colours = page.locator("body").get_attribute("data-md-color-scheme")
    assert colours == {"light": "default", "dark": "slate"}[scheme]
    assert not problems, "\n".join(problems)
    assert len(requests) > len(KINDS)
    assert not [url for url in requests if not url.startswith((address, "data:"))]


def test_formulas_are_in_the_vendored_font(chromium, address):
    with chromium.new_context() as context:
        page = context.new_page()
        with page.expect_response("**/stix-two-math.woff2") as response:
            page.goto(address + "theory.html")
        assert response.value.ok
        page.evaluate("document.fonts.ready")
        big, small = (page.locator(f"math {tag}").first.bounding_box()["height"] for tag in ("munder > mo", "mi"))
        assert big > 1.5 * small  # the sum of a formula that stands by itself
