"""A page that is older than the server gets no parts of other answers: it is told to load again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from helpers.web_library import COLOURS, COLOURS_FILE
from helpers.web_server import HOPPER
from shapleycam.web.app import Page, page_routes
from shapleycam.web.site import Site


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    page = Page(Site(models=(COLOURS_FILE,), examples=(HOPPER,), device="cpu"))
    with TestClient(Starlette(routes=page_routes(page)), follow_redirects=False) as opened:
        yield opened
    page.jobs.close(5)


def parts_of(html: str) -> list[str]:
    """Return the addresses of pictures, files and answers in HTML."""
    return [unescape(address) for address in re.findall(r'"((?:picture|answer/[a-z-]+)\?[^"]*)"', html)]


@pytest.mark.parametrize("view", ["explain", "compare", "fidelity", "coalitions"])
def test_every_part_of_a_page_is_refused_by_the_next_server(view, client):
    parts = parts_of(client.get(f"/{view}").text)
    (answer,) = [address for address in parts if address.startswith("answer/")]
    parts += parts_of(client.get(f"/{answer}").text)
    assert len(parts) > 2
    for address in parts:
        assert client.get(f"/{address}").status_code == 200, address
        of_earlier, count = re.subn(r"\bserver=[0-9a-f]+", "server=00000000", address)
        assert count == 1, address
        response = client.get(f"/{of_earlier}")
        assert response.status_code == 410
        assert "older than the server" in response.text


def test_an_address_by_itself_is_of_any_server(client):
    assert client.get("/picture", params={"kind": "photo"}).status_code == 200
    assert client.get("/answer/explain", params={"model": COLOURS}).status_code == 200


@pytest.mark.parametrize("view", ["explain", "coalition-value"])
def test_the_message_leads_to_the_tab_itself(view, client):
    tab = {"coalition-value": "coalitions"}.get(view, view)
    for more in ("server=00000000", "photo=0123456789abcdef0123456789abcdef"):
        html = client.get(f"/answer/{view}?class=redder&{more}").text
        (link,) = re.findall(r'href="([^"]*)"', html)
        assert link == f"{tab}?class=redder"
        assert client.get(f"/{link}").status_code == 200
