"""Behind a reverse proxy, under a path of its own."""

from __future__ import annotations

import re
from time import monotonic

import httpx
import pytest

from helpers.reverse_proxy import ReverseProxy
from helpers.web_server import HOPPER


@pytest.fixture
def address(plain_server):
    with ReverseProxy(plain_server.address, X_Forwarded_For="10.1.2.3") as proxied:
        yield proxied


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=60) as opened:
        yield opened


def addresses_in(html):
    return re.findall(r'\b(?:href|src|action|hx-get|data-href)="([^"]*)"', html)


def test_every_address_of_the_page_leads_behind_the_path(client, address):
    page = client.get("", follow_redirects=True)
    assert str(page.url).startswith(f"{address}explain")
    found = [each for each in addresses_in(page.text) if not each.startswith(("#", "https://"))]
    assert len(found) > 5
    for each in found:
        assert not each.startswith("/"), each
        if "photographs" not in each and "logout" not in each:
            url = page.url.join(each.replace("&amp;", "&"))
            with client.stream("GET", url) as response:
                assert str(url).startswith(address)
                assert response.status_code == 200, each


@pytest.mark.slow
def test_an_answer_arrives_while_it_is_made_and_its_pictures_are_there(client):
    began = monotonic()
    with client.stream("GET", "answer/explain", params={"method": "sampledshapley", "layer": "body"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Accel-Buffering"] == "no"
        text = next(response.iter_text())
        assert monotonic() - began < 10
        text += response.read().decode() if not response.is_stream_consumed else ""
    html = client.get("answer/explain").text
    pictures = [each for each in addresses_in(html) if each.startswith("picture")]
    assert pictures
    for each in pictures:
        assert client.get(each.replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("", "explain"),
        ("explain/", "explain"),
        ("glossary/", "glossary"),
        ("compare/?class=red&x=%2F", "compare?class=red&x=%2F"),
    ],
)
def test_a_redirect_stays_behind_the_path(path, leads_to, client, address):
    response = client.get(path)
    assert response.status_code in {302, 308}
    assert str(response.url.join(response.headers["Location"])) == f"{address}{leads_to}"


def test_no_preview_where_the_proxy_does_not_say_under_which_path_the_page_is(client):
    assert "og:title" in client.get("explain").text
    assert "og:image" not in client.get("explain").text
    assert "twitter:" not in client.get("explain").text


def test_a_photograph_is_sent_and_explained(client, address):
    response = client.post("photographs", data={"view": "explain"}, files={"file": ("a.jpg", HOPPER.read_bytes())})
    assert response.status_code == 303
    led = response.url.join(response.headers["Location"])
    assert str(led).startswith(f"{address}explain?photo=")
    assert client.get(led).status_code == 200


def test_the_public_name_is_known(client):
    assert client.get("explain", headers={"Host": "page.example.org"}).status_code == 200
    assert client.get("explain", headers={"Host": "evil.example"}).status_code == 421
