"""Passwords and logins: hashes that are read, sessions that end, attempts that are slowed down."""

from __future__ import annotations

import base64
import hashlib

import pytest

from shapleycam.errors import OptionError
from shapleycam.web.passwords import Accounts, hash_password
from shapleycam.web.sessions import HOURS, Attempts, Sessions


@pytest.fixture(scope="module")
def hashed():
    return hash_password("open sesame")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class TestPasswords:
    def test_the_hash_is_scrypt_of_password_and_salt(self, hashed):
        kind, n, r, p, salt, expected = hashed.split("$")
        digest = hashlib.scrypt(
            b"open sesame", salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), maxmem=2**26, dklen=32
        )
        assert (kind, base64.b64encode(digest).decode()) == ("scrypt", expected)
        assert int(n) * int(r) * 128 >= 2**25  # bytes of memory that each try takes

    def test_each_has_its_own_salt(self, hashed):
        assert hash_password("open sesame") != hashed

    def test_a_user_who_is_not_there_takes_as_long(self, hashed, monkeypatch):
        """The password is hashed for everybody: no answer comes sooner."""
        tried = []
        scrypt = hashlib.scrypt
        monkeypatch.setattr(hashlib, "scrypt", lambda *given, **more: tried.append(1) or scrypt(*given, **more))
        accounts = Accounts({"team": hashed})
        assert [accounts.accept("team", "open sesame"), accounts.accept("team", "wrong")] == [True, False]
        assert [accounts.accept("eve", "open sesame"), accounts.accept("", "")] == [False, False]
        assert len(tried) == 4


class TestFile:
    def test_lines(self, hashed, tmp_path):
        path = tmp_path / "accounts"
        path.write_text(f"# who may\n\n team:{hashed}\neve:{hash_password('x')}\n", encoding="utf-8")
        accounts = Accounts.read(path)
        assert accounts.accept("team", "open sesame")
        assert accounts.accept("eve", "x")
        assert not accounts.accept("eve", "open sesame")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "has no account; make one by shapleycam web --hash-password USER >> "),
            ("team:clear\n", r"line 1, is no account; expected USER:HASH"),
            ("# x\n{0}\n", r"line 2, is no account"),
            (":{0}\n", r"line 1, is no account"),
            ("team:{0}\nteam:{0}\n", r"line 2, has the user 'team' again"),
            ("team:{1}\n", r"line 1, is no account"),
        ],
    )
    def test_what_is_none(self, text, message, hashed, tmp_path):
        path = tmp_path / "accounts"
        weaker = hashed.replace("$32768$", "$2$")
        path.write_text(text.format(hashed, weaker), encoding="utf-8")
        with pytest.raises(OptionError, match=message) as error:
            Accounts.read(path)
        assert "clear" not in str(error.value).replace(str(path), "")
        assert hashed not in str(error.value)

    def test_one_that_cannot_be_read(self, tmp_path):
        (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
        for path in (tmp_path / "binary", tmp_path / "none", tmp_path):
            with pytest.raises(OptionError, match="cannot be read as a file of accounts"):
                Accounts.read(path)


class TestSessions:
    def test_they_end_by_logout_and_after_hours(self):
        clock = Clock()
        sessions = Sessions(clock)
        first, second = sessions.begin(), sessions.begin()
        assert first != second
        assert sessions.is_valid(first)
        sessions.end(first)
        assert not sessions.is_valid(first)
        clock.now += HOURS * 3600 - 1
        assert sessions.is_valid(second)
        clock.now += 2
        assert not sessions.is_valid(second)

    @pytest.mark.parametrize("token", ["", "x", "é", "\ud800"])
    def test_no_other_token(self, token):
        assert not Sessions().is_valid(token)


class TestAttempts:
    def test_after_five_each_waits_twice_as_long(self):
        clock = Clock()
        attempts, waits = Attempts(clock), []
        for _ in range(14):
            waits.append(attempts.wait_of("a"))
            clock.now += attempts.wait_of("a")
            attempts.count("a")
        assert waits[:5] == [0] * 5
        assert waits[5:] == [pytest.approx(wait, abs=1) for wait in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
        assert attempts.wait_of("b") == 0

    def test_they_are_forgiven_and_forgotten(self):
        clock = Clock()
        attempts = Attempts(clock)
        for _ in range(8):
            attempts.count("a")
        assert attempts.wait_of("a") > 0
        attempts.forgive("a")
        assert attempts.wait_of("a") == 0
        for _ in range(8):
            attempts.count("a")
        clock.now += 1000
        attempts.count("a")
        assert attempts.wait_of("a") == 0
