"""The login: who knows a password gets in, all others see the login page alone."""

from __future__ import annotations

from itertools import count
from time import monotonic

import httpx
import pytest

from helpers.reverse_proxy import ReverseProxy
from helpers.web_library import COLOURS_FILE
from helpers.web_server import WebServer
from shapleycam.web.passwords import hash_password

NUMBERS = count(1)
"""Of clients: two with one address would share their failures."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("auth") / "accounts"
    path.write_text(f"team:{hash_password('open sesame')}\n", encoding="utf-8")
    with WebServer("--models", COLOURS_FILE, "--auth", str(path), "--trust-proxy", "127.0.0.1") as served:
        yield served


@pytest.fixture
def client(server):
    """A client with an address of its own, so that the failures of one test slow down no other."""
    headers = {"X-Forwarded-For": f"10.0.0.{next(NUMBERS)}"}
    with httpx.Client(base_url=server.address, timeout=60, headers=headers) as opened:
        yield opened


def log_in(client, user="team", password="open sesame", **more):  # noqa: S107 - the one above
    return client.post("/login", data={"user": user, "password": password, **more})


def test_without_a_login_there_is_the_login_page_alone(client):
    response = client.get("/explain?class=red")
    assert (response.status_code, response.headers["Location"]) == (303, "login?next=explain%3Fclass%3Dred")
    assert client.get("/login").status_code == client.get("/static/style.css").status_code == 200
    assert client.get("/healthz").text == "ok\n"
    for path in ("/answer/explain", "/picture?kind=photo"):
        assert client.get(path).status_code == 401
    assert client.post("/photographs", files={"file": ("a", b"1")}).headers["Location"].startswith("login")
    assert client.get("/nothing").status_code == 303


def test_with_one_the_page_is_what_was_asked_for(client):
    response = log_in(client, next="explain?class=red")
    assert (response.status_code, response.headers["Location"]) == (303, "explain?class=red")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path" not in cookie
    assert "Secure" not in cookie
    assert client.get("/explain?class=red").status_code == 200
    assert 'data-state="done"' in client.get("/answer/explain").text
    assert "logout" in client.get("/explain").text


def test_logging_out_ends_it_also_for_a_copy_of_the_cookie(client):
    log_in(client)
    copied = dict(client.cookies)
    assert client.post("/logout").headers["Location"] == "login"
    assert not client.cookies
    client.cookies.update(copied)
    assert client.get("/explain").status_code == 303


@pytest.mark.parametrize(
    "destination", ["https://evil.example/", "//evil.example", "/explain", "login", "explain\r\nX: y", ""]
)
def test_nobody_is_led_elsewhere(destination, client):
    location = log_in(client, next=destination).headers["Location"]
    assert location == "explain"


@pytest.mark.parametrize(
    ("user", "password"), [("team", "wrong"), ("eve", "open sesame"), ("", ""), ("team", "x" * 3000)]
)
def test_the_same_answer_whatever_is_wrong(user, password, client):
    response = log_in(client, user, password)
    assert response.status_code == 401
    assert "User and password do not belong together; try again" in response.text
    assert not client.cookies
    assert 'value="team"' not in response.text


def test_attempts_are_slowed_down(client):
    """Five at once, the sixth has to wait; by the right password too, until then."""
    began = monotonic()
    statuses = [log_in(client, "team", "wrong").status_code for _ in range(7)]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
    assert monotonic() - began > 5 * 0.5
    response = log_in(client)
    if response.status_code == 429:
        assert int(response.headers["Retry-After"]) >= 1


def test_a_cookie_behind_https_is_secure_and_belongs_to_the_path(server):
    with ReverseProxy(server.address, X_Forwarded_Proto="https") as address, httpx.Client(base_url=address) as client:
        assert "Secure" in client.post("login", data={"user": "team", "password": "open sesame"}).headers["Set-Cookie"]
    with ReverseProxy(server.address) as address, httpx.Client(base_url=address) as client:
        client.post("login", data={"user": "team", "password": "open sesame"})
        assert [cookie.path for cookie in client.cookies.jar] == ["/tools/page"]
        assert client.get("explain").status_code == 200


@pytest.mark.parametrize("body", [b"", b"\xff" * 99, b"--x\r\n\r\n", b"--x\r\nno head\r\n\r\n1\r\n--x--\r\n"])
def test_a_form_that_is_none_is_refused(client, body):
    response = client.post("/login", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert response.status_code in {400, 401}
    assert "Set-Cookie" not in response.headers
