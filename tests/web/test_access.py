"""Who is answered: by which name the page is asked for, whose page asks, and how often a client may."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from shapleycam.web.access import Access
from shapleycam.web.client_limits import ClientLimit, TooManyError, address_of
from shapleycam.web.origin_check import OriginCheck

LOCAL, PUBLIC = Access(), Access("0.0.0.0", public_hosts=["page.example.org"])  # noqa: S104 - not served
HOST = "127.0.0.1:7860"


def status_of(access, path="/explain", method="GET", **headers):
    """The status of a request with these headers (an underscore stands for a hyphen)."""
    messages = []

    async def send(message):
        messages.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": pairs}
    asyncio.run(OriginCheck(PlainTextResponse("answered"), access)(scope, None, send))
    return messages[0]["status"]


class TestHost:
    @pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST", "127.0.0.2"])
    def test_this_machine(self, host):
        assert status_of(LOCAL, host=host) == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "localhost.evil.example:7860", "192.168.1.7:7860", "page.example.org", "", "[::1", "a b"],
    )
    def test_another_name(self, host):
        assert status_of(LOCAL, host=host) == 421

    def test_none_or_two(self):
        assert status_of(LOCAL) == 421
        access, messages = LOCAL, []

        async def send(message):
            messages.append(message)

        hosts = [(b"host", b"localhost"), (b"host", b"evil.example")]
        scope = {"type": "http", "path": "/", "method": "GET", "headers": hosts}
        asyncio.run(OriginCheck(PlainTextResponse("answered"), access)(scope, None, send))
        assert messages[0]["status"] == 421

    def test_of_a_server_for_others(self):
        for host in ("192.168.1.7:7860", "[fe80::1]:7860", "localhost", "page.example.org", "Page.Example.org.:443"):
            assert status_of(PUBLIC, host=host) == 200, host
        for host in ("evil.example", "example.org", "page.example.org.evil.example"):
            assert status_of(PUBLIC, host=host) == 421, host

    def test_any(self):
        assert status_of(Access(public_hosts=["*"]), host="evil.example") == 200

    def test_health_is_told_under_any_name(self):
        assert status_of(LOCAL, "/healthz", host="evil.example") == 200


EXPENSIVE = [("/answer/explain", "GET"), ("/picture", "GET"), ("/photographs", "POST"), ("/login", "POST")]


class TestOrigin:
    @pytest.mark.parametrize(("path", "method"), EXPENSIVE)
    def test_what_costs_something_is_for_the_page_itself(self, path, method):
        def status(**headers):
            return status_of(LOCAL, path, method, host=HOST, **headers)

        assert status(sec_fetch_site="same-origin") == status(sec_fetch_site="none") == 200
        assert status(sec_fetch_site="cross-site") == status(sec_fetch_site="same-site") == 403
        assert status(origin=f"http://{HOST}") == status(referer=f"http://{HOST}/explain?class=1") == 200
        assert status(origin="http://evil.example") == status(referer="http://evil.example/") == 403
        assert status(origin="http://127.0.0.1:7861") == status(origin="null") == 403
        assert status(sec_fetch_site="cross-site", origin=f"http://{HOST}") == 403
        assert status() == 200  # curl

    @pytest.mark.parametrize("path", ["/", "/explain", "/static/page.js"])
    def test_a_link_from_elsewhere_opens_the_page(self, path):
        assert status_of(LOCAL, path, host=HOST, sec_fetch_site="cross-site") == 200

    def test_behind_a_proxy_that_says_another_host(self):
        """By https browsers send Sec-Fetch-Site; without it the public name counts."""
        behind = Access(public_hosts=["page.example.org"])
        for headers, status in (
            ({"sec_fetch_site": "same-origin", "origin": "https://page.example.org"}, 200),
            ({"origin": "https://page.example.org"}, 200),
            ({"origin": "https://evil.example"}, 403),
        ):
            assert status_of(behind, "/photographs", "POST", host=HOST, **headers) == status


class TestClients:
    def test_so_many_at_the_same_time(self):
        limit = ClientLimit(2, 3)
        with limit.hold("a"), limit.hold("a"):
            with pytest.raises(TooManyError), limit.hold("a"):
                pass
            with limit.hold("b"), pytest.raises(TooManyError), limit.hold("c"):
                pass
        with limit.hold("a"), limit.hold("c"):
            pass

    def test_an_ipv6_client_has_many_addresses(self):
        def address(host):
            return address_of(HTTPConnection({"type": "http", "client": (host, 1), "headers": []}))

        assert address("2001:db8::1") == address("2001:db8::ffff:1") != address("2001:db8:0:1::1")
        assert address("10.0.0.1") != address("10.0.0.2")
        assert address_of(HTTPConnection({"type": "http", "client": None, "headers": []})) == ""
