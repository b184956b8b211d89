"""Behind nginx and Caddy, each with the lines of docs/web.md; skipped where they are not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from helpers.ports import free_port, listens
from helpers.web_library import COLOURS
from helpers.web_server import HOPPER, WebServer
from shapleycam.web.passwords import hash_password

DOCS = Path(__file__).parents[2] / "docs/web.md"
NAME = "page.example.org"
MEGABYTES = 20
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log warn;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl; server_name page.example.org;
        ssl_certificate {folder}/certificate; ssl_certificate_key {folder}/key;
        {lines}
    }}
}}
"""
CADDY = """
{{
    admin off
    local_certs
    skip_install_trust
    http_port {other_port}
    https_port {port}
    default_bind 127.0.0.1
    storage file_system {folder}/storage
    log {{
        output file {folder}/log
    }}
}}
{lines}
"""


def lines_of(language: str, port: int) -> str:
    """Return the lines of the documentation in a language, with the port of the page."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block.count(":7860") == 1
    return block.replace(":7860", f":{port}")


def nginx_command(folder: Path, port: int, page: int) -> list[str]:
    subject = ("-subj", f"/CN={NAME}", "-keyout", folder / "key", "-out", folder / "certificate")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run(["openssl", "req", "-x509", *curve, *subject], check=True, capture_output=True)
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, port=port, lines=lines_of("nginx", page)), encoding="utf-8")
    return ["nginx", "-p", str(folder), "-e", str(folder / "log"), "-c", str(path)]


def caddy_command(folder: Path, port: int, page: int) -> list[str]:
    path, lines = folder / "Caddyfile", lines_of("caddyfile", page)
    text = CADDY.format(folder=folder, port=port, other_port=free_port(), lines=lines)
    path.write_text(text, encoding="utf-8")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


COMMANDS: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": nginx_command, "caddy": caddy_command}


@dataclass(frozen=True)
class Proxied:
    """The page behind a proxy: the proxy's port, and the file of what it logs."""

    port: int
    log: Path

    def client(self) -> httpx.Client:
        """Return a client that reaches the proxy by the public name, as if it were at port 443 of that name."""

        def lead(request: httpx.Request) -> None:
            request.headers["Host"] = NAME
            request.extensions["sni_hostname"] = NAME

        address = f"https://127.0.0.1:{self.port}/cam/"
        hooks = {"request": [lead]}
        return httpx.Client(base_url=address, verify=False, timeout=60, event_hooks=hooks)  # noqa: S501 - of this test


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[int]:
    """The port of a page with a login, started as the documentation says."""
    path = tmp_path_factory.mktemp("auth") / "accounts"
    path.write_text(f"team:{hash_password('open sesame')}\n", encoding="utf-8")
    options = ("--public-host", NAME, "--trust-proxy", "127.0.0.1", "--auth", str(path))
    with WebServer("--models", COLOURS, "--max-megabytes", str(MEGABYTES), *options) as served:
        yield int(served.address.rpartition(":")[2])


@pytest.fixture(scope="module", params=COMMANDS)
def proxied(request, page, tmp_path_factory) -> Iterator[Proxied]:
    programs = [request.param, *(["openssl"] if request.param == "nginx" else [])]
    if absent := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"no {' and no '.join(absent)} on this machine (apt-get install {' '.join(absent)})")
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    command = COMMANDS[request.param](folder, port, page)
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, cwd=folder)
    try:
        deadline = monotonic() + 30
        while not listens(port):
            assert process.poll() is None, (folder / "printed").read_text(encoding="utf-8")
            assert monotonic() < deadline
            sleep(0.05)
        yield Proxied(port, folder / "log")
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def client(proxied) -> Iterator[httpx.Client]:
    with proxied.client() as opened:
        form = {"user": "team", "password": "open sesame", "next": "explain?class=red"}
        response = opened.post("login", data=form)
        assert (response.status_code, response.headers["Location"]) == (303, "explain?class=red")
        cookie = response.headers["Set-Cookie"]
        assert "Secure" in cookie  # the page knows that the visitor came by https
        assert "Path" not in cookie  # the browser takes that of the address: /cam
        opened.cookies.clear()
        opened.headers["Cookie"] = cookie.partition(";")[0]
        yield opened


def test_without_the_slash_one_is_led_to_the_page(proxied):
    with proxied.client() as client:
        response = client.get(f"https://127.0.0.1:{proxied.port}/cam")
        assert response.status_code in {301, 302}
        assert re.fullmatch(rf"(https://{re.escape(NAME)}(:\d+)?)?/cam/", response.headers["Location"])


def test_who_has_not_logged_in_is_led_to_the_login_under_the_path(proxied):
    with proxied.client() as client:
        response = client.get("explain")
        assert response.status_code == 303
        assert response.url.join(response.headers["Location"]).path == "/cam/login"
        assert client.get("login").status_code == client.get("static/style.css").status_code == 200


def test_the_page_its_answer_and_its_pictures(client):
    assert "<nav" in client.get("explain?class=red").raise_for_status().text
    html = client.get("answer/explain?class=red").raise_for_status().text
    assert 'data-state="done"' in html
    pictures = [each for each in re.findall(r'\bhref="([^"]*)"', html) if each.startswith("picture")]
    assert pictures
    for address in pictures:
        assert client.get(address.replace("&amp;", "&")).status_code == 200


def test_steps_of_an_answer_arrive_while_it_is_made(client):
    """The first ones are there when the last one is not: a proxy that collects would hand on all of them together."""
    with client.stream("GET", "answer/fidelity?layer=body&error=0.01") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        text = ""
        for part in response.iter_text():
            text += part
            if "<article" in text:
                break
    assert "<article" in text
    assert 'data-state="done"' not in text


def test_a_photograph_of_the_largest_size_is_taken_and_not_written_to_the_disk(client, proxied):
    content = HOPPER.read_bytes()
    content += bytes(MEGABYTES * 10**6 - len(content))  # what comes after the end of a JPEG is not read
    response = client.post("photographs", data={"view": "explain"}, files={"file": ("a.jpg", content)})
    assert response.status_code == 303
    led = response.url.join(response.headers["Location"])
    assert led.path == "/cam/explain"
    assert client.get(led).status_code == 200
    assert "temporary file" not in proxied.log.read_text(encoding="utf-8")  # nginx warns of them


def test_one_that_is_larger_is_refused_by_the_page_in_its_words(client):
    content = HOPPER.read_bytes() + bytes(MEGABYTES * 10**6 + 100_000)
    response = client.post("photographs", data={"view": "explain"}, files={"file": ("a.jpg", content)})
    assert response.status_code == 413
    assert f"over the limit of {MEGABYTES} MB; make it smaller" in response.text


def test_a_foreign_page_is_refused(client):
    response = client.get("answer/explain", headers={"Origin": "https://evil.example"})
    assert response.status_code == 403
