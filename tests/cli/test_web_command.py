"""`shapleycam web`: its options, and what it refuses in one line; the server itself is tested in tests/web."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys

import pytest
from PIL import Image

from shapleycam.web.passwords import Accounts

ANYWHERE = "0.0.0.0"  # noqa: S104 - nothing is served


@pytest.fixture
def serve(run, monkeypatch):
    """Run the command without serving; returns what it printed, the site, and the access."""
    monkeypatch.delenv("SHAPLEYCAM_AUTH", raising=False)

    def command(*options):
        served = []
        monkeypatch.setattr("shapleycam.web.serve", lambda site, access, **_: served.append((site, access)))
        ran = run("web", "--no-browser", *options)
        return ran, *(served[0] if served else (None, None))

    return command


def hash_of(run, monkeypatch, user, password):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    return run("web", "--hash-password", user)


def test_options_reach_the_site(serve):
    ran, site, access = serve(
        *("--models", "a", "--models", "b", "--loaded", "3", "--keep", "2.5", "--store-megabytes", "100"),
        *("--max-megabytes", "4", "--max-megapixels", "9", "--run", "results", "--port", "7999"),
        *("--public-host", "page.example.org", "--trust-proxy", "10.0.0.0/8"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert (site.models, site.loaded, site.keep_hours, site.store_megabytes) == (["a", "b"], 3, 2.5, 100)
    assert (site.limits.megabytes, site.limits.megapixels, site.runs) == (4, 9, ["results"])
    assert (access.host, access.port, access.public_hosts) == ("127.0.0.1", 7999, ("page.example.org",))
    assert (access.trusted_proxies, access.accounts, site.has_login) == (("10.0.0.0/8",), None, False)


def test_reference_photographs_are_read_before_anybody_comes(serve, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert serve("--reference", tmp_path)[1].reference == [tmp_path / "a.png"]
    (tmp_path / "b.png").write_bytes(b"no picture")
    ran, site, _ = serve("--reference", tmp_path)
    assert (ran.code, site) == (2, None)
    assert "b.png" in ran.err


def test_a_note_where_others_may_come(serve, run, monkeypatch, tmp_path):
    assert "note: --host 0.0.0.0 without --auth" in serve("--host", ANYWHERE)[0].err
    assert serve("--host", "127.0.0.1")[0].err == serve("--host", "::1")[0].err == ""
    accounts = tmp_path / "accounts"
    accounts.write_text(hash_of(run, monkeypatch, "team", "open sesame").out, encoding="utf-8")
    ran, site, access = serve("--host", ANYWHERE, "--auth", accounts)
    assert ran.err == ""
    assert site.has_login
    assert access.accounts.accept("team", "open sesame")


def test_the_password_of_the_environment_is_taken_out_of_it(serve, monkeypatch):
    """Other processes would inherit it; it may hold colons."""
    monkeypatch.setenv("SHAPLEYCAM_AUTH", "me:open:sesame")
    _, _, access = serve()
    assert access.accounts.accept("me", "open:sesame")
    assert "SHAPLEYCAM_AUTH" not in os.environ


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (["--auth", "team:secret"], None, "--auth is no file; expected one of lines USER:HASH"),
        (["--auth", "."], None, "--auth is no file"),
        ([], "team", "SHAPLEYCAM_AUTH has no user or no password; expected USER:PASSWORD"),
        ([], "team:", "SHAPLEYCAM_AUTH has no user or no password"),
        ([], "", "SHAPLEYCAM_AUTH has no user or no password"),
        (["--auth", "x"], "me:secret", "--auth and SHAPLEYCAM_AUTH are both given; expected one of them"),
        (["--public-host", "https://x.org"], None, "--public-host 'https://x.org' is no name; expected one without"),
        (["--public-host", "x.org:80"], None, "--public-host 'x.org:80' is no name"),
        (["--public-host", ""], None, "--public-host '' is no name"),
        (["--trust-proxy", "nginx"], None, "--trust-proxy 'nginx' is no address; expected that of the proxy"),
        (["--hash-password", "a:b"], None, "--hash-password 'a:b' is no user"),
        (["--keep", "0"], None, "--keep"),
        (["--port", "70000"], None, "--port"),
    ],
)
def test_what_is_refused(options, environment, message, serve, monkeypatch):
    if environment is not None:
        monkeypatch.setenv("SHAPLEYCAM_AUTH", environment)
    ran, site, _ = serve(*options)
    assert (ran.code, site) == (2, None)
    assert message in ran.err
    assert "secret" not in ran.err


class TestHashPassword:
    def test_the_line_of_a_file(self, run, monkeypatch, tmp_path):
        ran = hash_of(run, monkeypatch, "team", "open sesame ")
        (tmp_path / "accounts").write_text(ran.out, encoding="utf-8")
        accounts = Accounts.read(tmp_path / "accounts")
        assert accounts.accept("team", "open sesame ")
        assert not accounts.accept("team", "open sesame")
        assert "sesame" not in ran.out + ran.err

    def test_none(self, run, monkeypatch):
        ran = hash_of(run, monkeypatch, "team", "")
        assert (ran.code, ran.out) == (2, "")
        assert "the password is empty; expected one on the terminal" in ran.err

    def test_on_a_terminal_it_is_typed_twice(self, run, monkeypatch):
        typed = iter(["open sesame", "open sesame", "open sesame", "open sesami"])
        monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
        monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda _: True})())
        assert run("web", "--hash-password", "team").out.startswith("team:scrypt$")
        ran = run("web", "--hash-password", "team")
        assert (ran.code, ran.out) == (2, "")
        assert "the two passwords differ" in ran.err


class TestPort:
    def test_one_that_is_taken(self, run):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ran = run("web", "--no-browser", "--port", taken.getsockname()[1])
        assert ran.code == 2
        assert ran.err.startswith("error: no server at 127.0.0.1")
        assert len(ran.err.splitlines()) == 1

    @pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
    def test_a_host_that_is_not_this_machine(self, host, run):
        ran = run("web", "--no-browser", "--host", host)
        assert ran.code == 2
        assert f"no server at {host}" in ran.err.splitlines()[-1]

    def test_the_first_free_one(self, monkeypatch):
        from shapleycam.web import server

        with socket.create_server(("127.0.0.1", 0)) as taken:
            monkeypatch.setattr(server, "_FIRST_PORT", taken.getsockname()[1])
            with server._listen("127.0.0.1", None) as bound:
                assert bound.getsockname()[1] > taken.getsockname()[1]


def test_a_missing_extra():
    """Of the three the one that starlette imports only when a form arrives."""
    without = "import sys; sys.modules['python_multipart'] = sys.modules['multipart'] = None"
    program = f"{without}; sys.argv = ['shapleycam', 'web']; from shapleycam.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == (
        "error: the page needs starlette, uvicorn and python-multipart, which are not installed; "
        "pip install 'shapleycam[web]'\n"
    )
