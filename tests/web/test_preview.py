"""The picture beside a link to the page: at an absolute address that is right, or none."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from helpers.web_library import COLOURS_FILE
from helpers.web_server import HOPPER
from shapleycam.web.access import Access
from shapleycam.web.application import build_application
from shapleycam.web.passwords import Accounts
from shapleycam.web.site import Site

NAME, PROXY = "page.example.org", "10.0.0.1"
FORWARDED = {"X-Forwarded-For": "1.2.3.4"}


@pytest.fixture
def client_of():
    applications = []

    def make(base_url, **access):
        applications.append(build_application(Site(models=[COLOURS_FILE], examples=[HOPPER]), Access(**access)))
        return TestClient(applications[-1].app, base_url, follow_redirects=False)

    yield make
    for application in applications:
        assert application.page.jobs.close(10)


def preview_of(client, **headers):
    """Return the address of the picture; None where no tag has one."""
    html = client.get("/explain", headers={name.replace("_", "-"): value for name, value in headers.items()}).text
    pairs = dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', html))
    assert pairs.get("og:image") == pairs.get("twitter:image")
    assert ("og:image" in pairs) == (pairs.get("twitter:card") == "summary_large_image")
    return pairs.get("og:image")


def test_reached_directly_it_is_of_the_name_that_was_asked_for(client_of):
    client = client_of("http://127.0.0.1:7860")
    address = preview_of(client)
    assert address == "http://127.0.0.1:7860/static/preview.jpg"
    picture = client.get(address)
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/jpeg")
    public = client_of(f"https://{NAME}", public_hosts=[NAME])
    assert preview_of(public) == f"https://{NAME}/static/preview.jpg"


@pytest.mark.parametrize(("prefix", "path"), [("/", "/"), ("/tools/page", "/tools/page/"), ("/cam/", "/cam/")])
@pytest.mark.parametrize("names", [[NAME], ["*"]])
def test_behind_a_trusted_proxy_it_is_under_the_path_that_the_proxy_says(prefix, path, names, client_of):
    client = client_of(f"https://{NAME}", public_hosts=names, trusted_proxies=[PROXY])
    assert preview_of(client, **FORWARDED, X_Forwarded_Prefix=prefix) == f"https://{NAME}{path}static/preview.jpg"


@pytest.mark.parametrize("prefix", ["", "cam", "//evil.example", "/a b", '/"><script>', "/../x/.."])
def test_a_path_that_is_none_is_not_taken(prefix, client_of):
    client = client_of(f"https://{NAME}", public_hosts=[NAME], trusted_proxies=[PROXY])
    assert preview_of(client, **FORWARDED, X_Forwarded_Prefix=prefix) is None


def test_of_a_proxy_that_is_not_trusted_or_hides_the_name_nothing_is_known(client_of):
    untrusted = client_of(f"https://{NAME}", public_hosts=[NAME])
    assert preview_of(untrusted, **FORWARDED, X_Forwarded_Prefix="/cam") is None
    assert preview_of(untrusted, X_Forwarded_Prefix="/cam") is None
    hidden = client_of("http://127.0.0.1:7860", public_hosts=[NAME], trusted_proxies=[PROXY])
    assert preview_of(hidden, **FORWARDED, X_Forwarded_Prefix="/cam") is None


def test_a_visitor_without_a_login_is_led_to_it_relative_to_where_they_are(client_of):
    client = client_of("http://localhost", accounts=Accounts.of_text("me:secret", "test"))
    for path, location in (
        ("/explain/?class=red", "../login?next=explain%3Fclass%3Dred"),
        ("/a/b", "../login?next=a%2Fb"),
        ("/", "login"),
    ):
        assert client.get(path).headers["Location"] == location
    for path in ("/classes", "/layers"):
        assert client.get(path).status_code == 401
