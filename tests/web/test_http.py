"""The server as any client sees it: what it answers, what it refuses, what it never does."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from helpers.web_library import COLOURS
from helpers.web_server import HOPPER, MEGABYTES
from shapleycam.web.security_headers import HEADERS

ONE_GIGABYTE = 10**9
FORM = "multipart/form-data; boundary=x"
FILE_BEGINS = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.fixture
def server(plain_server):
    return plain_server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.address, timeout=60) as opened:
        yield opened


def photograph_of(client, content=None, **fields):
    """Send a photograph, and return the response."""
    file = ("a.jpg", HOPPER.read_bytes() if content is None else content, "image/jpeg")
    return client.post("/photographs", data={"view": "explain", **fields}, files={"file": file})


def answer_of(client, view="explain", **parameters):
    return client.get(f"/answer/{view}", params=parameters)


class TestResponses:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/", 302),
            ("/explain", 200),
            ("/explain?class=red&against=blue", 200),
            ("/healthz", 200),
            ("/robots.txt", 200),
            ("/static/htmx.min.js", 200),
            ("/nothing", 404),
            ("/explain/", 308),
            ("/answer/", 404),
            ("/nothing/", 404),
            ("/answer/nothing", 404),
            ("/nothing/at/all", 404),
            ("/explain?nothing=1", 422),
            ("/explain?class=1&class=2", 422),
            (f"/explain?class={'x' * 1001}", 422),
            ("/answer/explain?nothing=1", 422),
            ("/answer/explain?photo=0123456789abcdef0123456789abcdef", 410),
            ("/picture?kind=photo&photo=0123456789abcdef0123456789abcdef", 410),
            ("/picture?kind=nothing", 422),
            ("/picture?kind=photo&kind=values", 422),
            ("/photographs", 404),
            (f"/{'x' * 20_000}", 414),
        ],
    )
    def test_status_and_headers(self, path, status, client):
        response = client.get(path)
        assert response.status_code == status
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert "Traceback" not in response.text
        assert "server" not in response.headers

    def test_health_says_nothing_else(self, client):
        assert client.get("/healthz").text == "ok\n"

    def test_the_content_security_policy_allows_no_text_as_code(self, client):
        policy = client.get("/explain").headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        html = client.get("/explain").text
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|hx-on|javascript:", html)

    @pytest.mark.parametrize(
        "path", ["/etc/passwd", "/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"]
    )
    def test_no_file_is_served(self, path, server):
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            assert b" 404 " in connection.makefile("rb").readline()

    def test_a_model_that_is_not_offered(self, client):
        text = answer_of(client, model="timm:resnet18").text
        assert "is not offered by this page" in text
        assert 'data-state="done"' in text

    def test_a_model_that_does_not_load_is_one_message(self, client):
        text = answer_of(client, model="not_there:net").text
        assert "model &#39;not_there:net&#39; could not be loaded" in text
        assert 'role="alert"' in text

    def test_a_picture_is_sent_again_only_where_it_changed(self, client):
        first = client.get("/picture?kind=photo")
        assert first.headers["Content-Type"] == "image/webp"
        second = client.get("/picture?kind=photo", headers={"If-None-Match": first.headers["ETag"]})
        assert (second.status_code, second.content) == (304, b"")
        other = client.get("/picture?kind=heatmap", headers={"If-None-Match": first.headers["ETag"]})
        assert other.status_code == 200


class TestPhotographs:
    def test_the_address_of_its_question(self, client):
        response = photograph_of(client, model=COLOURS, layer="body", utility="logit")
        assert response.status_code == 303
        location = httpx.URL(f"http://x/{response.headers['Location']}")
        assert location.path == "/explain"
        assert dict(location.params) | {"photo": ""} == {
            "photo": "",
            "model": COLOURS,
            "layer": "body",
            "utility": "logit",
        }
        assert 'data-state="done"' in client.get(f"/answer/{response.headers['Location']}").text

    def test_two_with_the_same_share_it(self, client, server):
        with httpx.Client(base_url=server.address) as another:
            assert photograph_of(client).headers["Location"] == photograph_of(another).headers["Location"]

    def test_nothing_is_written_to_the_disk(self, client, server):
        """Also of one above the megabyte from which form parsers write to files, and of one that is cut off."""
        assert photograph_of(client, HOPPER.read_bytes() + bytes(3_000_000)).status_code == 303
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as connection:
            fields = ("Host: localhost", f"Content-Type: {FORM}", "Content-Length: 4000000", "", "")
            connection.sendall("\r\n".join(("POST /photographs HTTP/1.1", *fields)).encode() + FILE_BEGINS)
            connection.sendall(bytes(2_000_000))
            sleep(0.3)
            assert server.files() == []
        assert server.files() == []

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "the file is empty"), (b"no photograph", "not a photograph"), (HOPPER.read_bytes()[:20_000], "damaged")],
    )
    def test_what_is_none_is_said_in_the_page(self, content, message, client):
        response = photograph_of(client, content, layer="body")
        assert response.status_code == 422
        assert message in response.text
        assert "<nav" in response.text

    @pytest.mark.parametrize(
        "body", [b"", b"--x\r\n\r\n", b"\xff" * 99, FILE_BEGINS.replace(b"file", b"x") + b"1\r\n--x--\r\n"]
    )
    def test_a_form_that_is_none(self, body, client):
        headers = {"Content-Type": FORM}
        assert client.post("/photographs", content=body, headers=headers).status_code == 422
        assert client.post("/photographs", content=body).status_code == 422

    def test_many_parts(self, client):
        files = [("file", ("a", b"1")) for _ in range(100)]
        assert client.post("/photographs", files=files).status_code == 422
        assert client.post("/photographs", data={str(i): "1" for i in range(100)}, files=files[:1]).status_code == 422


class TestBodies:
    def test_one_that_is_declared_is_refused_before_it_comes(self, client, server):
        began = monotonic()
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), 10) as connection:
            head = f"POST /photographs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {ONE_GIGABYTE}\r\n\r\n"
            connection.sendall(head.encode())
            assert b" 413 " in connection.makefile("rb").readline()
        assert monotonic() - began < 4

    @pytest.mark.parametrize("path", ["/photographs", "/answer/explain", "/picture", "/nothing"])
    def test_one_that_is_not_declared_is_refused_while_it_comes(self, path, client, server):
        before, sent = server.memory(), []

        def body():
            yield FILE_BEGINS
            while sum(sent) < ONE_GIGABYTE:
                sent.append(10**6)
                yield bytes(10**6)

        try:
            response = client.post(path, content=body(), headers={"Content-Type": FORM})
        except (httpx.WriteError, httpx.ReadError):
            pass  # the server has stopped reading
        else:
            assert response.status_code == (413 if path == "/photographs" else 405)
        assert server.memory() - before < 60 * 2**20
        assert server.files() == []
        assert client.get("/healthz").status_code == 200

    def test_the_limit_is_said_in_the_page(self, client):
        response = photograph_of(client, bytes(MEGABYTES * 10**6 + 100_000))
        assert response.status_code == 413
        assert f"over the limit of {MEGABYTES} MB; make it smaller" in response.text
        assert "<nav" in response.text


def test_no_fault_was_logged(server):
    """By whatever the tests before have sent."""
    assert "Traceback" not in server.read_log()
    assert Path(server.scratch).is_dir()
