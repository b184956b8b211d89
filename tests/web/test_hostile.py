"""What nobody should send: a message in the page, nothing stored, and the server goes on."""

from __future__ import annotations

import httpx
import pytest
from PIL import Image

from helpers.picture_files import SCRIPT, bomb, cut_short
from helpers.web_library import COLOURS, expect_explained
from helpers.web_server import HOPPER, MEGABYTES

HOSTILE = {
    "text.jpg": (lambda: b"no photograph at all", "not a photograph in a known format"),
    "empty.png": (lambda: b"", "the file is empty"),
    "half.jpg": (lambda: cut_short(HOPPER), "damaged or cut short"),
    "script.svg": (SCRIPT.encode, "not a photograph in a known format"),
    "bomb.png": (lambda: bomb(40_000), "far too many pixels"),
    "large.png": (lambda: bomb(6_000), "6000 x 6000 is 36.0 megapixels, over the limit of 20"),
    "postscript.png": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not a photograph in a known format",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_message_and_the_server_goes_on(name, visitor, served, colours):
    content, message = HOSTILE[name]
    visitor.open("explain", model=COLOURS, target="redder")
    before = visitor.page.url
    visitor.allowed.append("422")  # which the browser writes on its console
    visitor.hand_over("choose", name, content())
    visitor.page.locator("[role=alert]", has_text=message).wait_for()
    assert visitor.page.evaluate("window.harmed") is None
    assert served.files() == []
    assert visitor.page.url == before
    expect_explained(visitor.answer(), colours.explain(HOPPER, target="redder"))
    visitor.page.reload()
    expect_explained(visitor.answer(), colours.explain(HOPPER, target="redder"))
    assert visitor.page.locator("[role=alert]:visible").count() == 0


def test_a_file_that_is_too_large_is_not_sent(visit, served):
    visitor = visit()
    visitor.open("explain", model=COLOURS)
    sent = []
    visitor.page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    visitor.hand_over("choose", "large.png", bytes(MEGABYTES * 10**6 + 1))
    visitor.page.locator("[role=alert]", has_text=f"{MEGABYTES} MB").wait_for()
    assert sent == []


@pytest.mark.parametrize("path", ["/etc/passwd", str(HOPPER), "../../../etc/passwd", "http://127.0.0.1:1/x.jpg"])
def test_no_path_of_an_address_is_opened(served, path):
    for route in ("answer/explain", "picture"):
        for name in ("photo", "model", "run"):
            parameters = {"model": COLOURS, name: path, **({"kind": "photo"} if route == "picture" else {})}
            view = "answer/results" if name == "run" and route != "picture" else route
            if name == "run" and route == "picture":
                continue
            response = httpx.get(f"{served.address}/{view}", params=parameters)
            assert "root:" not in response.text
            assert "<article" not in response.text
            assert response.status_code in {404, 410, 422} or 'role="alert"' in response.text
    assert HOPPER.is_file()


@pytest.mark.parametrize("path", ["/etc/passwd", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "../../__init__.py"])
def test_no_file_is_served(served, path):
    with httpx.Client() as client:  # which sends the path as it is written
        request = client.build_request("GET", f"{served.address}/static/x")
        request.url = request.url.copy_with(raw_path=f"/static/{path}".encode())
        response = client.send(request)
    assert response.status_code in {400, 404}


def test_the_bomb_is_one(tmp_path, monkeypatch):
    """Two hundred megabytes of pixels in a file that is small enough to be taken."""
    content = bomb(40_000)
    assert len(content) < MEGABYTES * 10**6
    (tmp_path / "bomb.png").write_bytes(content)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(tmp_path / "bomb.png") as opened:
        assert opened.size == (40_000, 40_000)
