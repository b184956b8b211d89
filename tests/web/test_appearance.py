"""How the page looks and what it costs, in every tab with its answer: for all eyes, on any screen, in few bytes."""

from __future__ import annotations

import pytest

from helpers.accessibility import accessibility_violations
from helpers.web_library import COLOURS, COLOURS_FILE

TABS = ("explain", "compare", "fidelity", "ladder", "coalitions", "results")
WIDTHS = (390, 900, 1280, 1920)
MOST_BYTES = 200_000
SIDE_SCROLL = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDER = """() => [...document.querySelectorAll('body *')].filter(each => {
  const box = each.getBoundingClientRect();
  return box.width && box.right > document.documentElement.clientWidth + 1
    && !each.closest('.scroll, dialog, [popover]');
}).map(each => each.outerHTML.slice(0, 120))"""
"""What reaches beyond the window's right edge, though nothing around it scrolls."""


@pytest.mark.parametrize("tab", TABS)
def test_accessible_in_light_and_dark_and_no_wider_than_the_window(tab, visit):
    visitor = visit()
    visitor.open(tab, **({} if tab == "results" else {"model": COLOURS}))
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        assert accessibility_violations(visitor.page) == []
    for width in WIDTHS:
        visitor.page.set_viewport_size({"width": width, "height": 800})
        assert visitor.page.evaluate(SIDE_SCROLL) <= 0, (width, visitor.page.evaluate(WIDER))
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    assert accessibility_violations(visitor.page) == []


def test_the_login_page_is_accessible(visit, start_server):
    server = start_server("--models", COLOURS_FILE, environment={"SHAPLEYCAM_AUTH": "team:secret"})
    visitor = visit(address=server.address)
    visitor.page.goto(server.address)
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        assert accessibility_violations(visitor.page) == []
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    assert visitor.page.evaluate(SIDE_SCROLL) <= 0
    visitor.page.get_by_label("User").fill("team")
    visitor.page.get_by_label("Password").fill("wrong")
    visitor.allowed.append("40[13]")  # which the browser writes on its console
    visitor.page.get_by_role("button", name="Log in").click()
    visitor.page.get_by_role("alert").wait_for()
    assert accessibility_violations(visitor.page) == []
    visitor.page.get_by_label("User").fill("team")
    visitor.page.get_by_label("Password").fill("secret")
    visitor.page.get_by_role("button", name="Log in").click()
    visitor.answer()
    visitor.page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("tab", TABS)
def test_bytes_of_an_answer(tab, visit, photograph_of_500_by_375):
    """All that crosses the wire for another tab: its page, its answer and its pictures, as the browser counts them."""
    visitor = visit()
    visitor.open("explain", model=COLOURS)
    if tab != "results":
        visitor.upload(photograph_of_500_by_375)
    devtools = visitor.page.context.new_cdp_session(visitor.page)
    addresses, received = {}, {}
    devtools.on("Network.requestWillBeSent", lambda e: addresses.setdefault(e["requestId"], e["request"]["url"]))
    devtools.on("Network.loadingFinished", lambda e: received.setdefault(e["requestId"], e["encodedDataLength"]))
    devtools.send("Network.enable")
    visitor.tab(tab.title())
    visitor.page.wait_for_load_state("networkidle")
    parts = {url: received.get(request, 0) for request, url in addresses.items() if "/static/" not in url}
    assert any("/answer/" in url for url in parts)
    assert sum(parts.values()) <= MOST_BYTES, parts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scheme_of_the_system(scheme, visit):
    visitor = visit(scheme=scheme)
    answer = visitor.open("explain", model=COLOURS)
    background = brightness(visitor.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    ink = brightness(answer.evaluate("e => getComputedStyle(e).color"))
    assert (background < 80) == (scheme == "dark")
    assert abs(background - ink) > 120


def brightness(colour: str) -> float:
    """Return 0 to 255, of a colour as a browser writes it."""
    import re

    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue
