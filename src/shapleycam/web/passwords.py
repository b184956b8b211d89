"""Accounts of visitors, with passwords as scrypt hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shapleycam.errors import OptionError

_KIND, _N, _R, _P = "scrypt", 2**15, 8, 1
"""scrypt's parameters: each password check takes about 0.1 s and 32 MB."""
_SALT_BYTES, _HASH_BYTES = 16, 32
_MEMORY = 64 * 2**20


@dataclass(frozen=True)
class Accounts:
    """Users and the hashes of their passwords.

    Examples:
        >>> from shapleycam.web.passwords import Accounts, hash_password
        >>> accounts = Accounts({"team": hash_password("open sesame")})
        >>> accounts.accept("team", "open sesame"), accounts.accept("team", "secret"), accounts.accept("eve", "secret")
        (True, False, False)
    """

    hashes: Mapping[str, str]

    def accept(self, user: str, password: str) -> bool:
        """Return whether a password is that of a user; an unknown user takes the same time."""
        expected = self.hashes.get(user, next(iter(self.hashes.values())))
        return _matches(password, expected) and user in self.hashes

    @classmethod
    def read(cls, path: Path) -> Accounts:
        """Read the accounts in a file with one line USER:HASH for each; empty lines and lines with # are ignored.

        Raises:
            OptionError: the file cannot be read, has a wrong line, has a user twice, or has no user.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"{path} cannot be read as a file of accounts ({error}); give one that can") from None
        hashes: dict[str, str] = {}
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            user, _, hashed = line.partition(":")
            if not user or not _is_hash(hashed):
                raise OptionError(
                    f"{path}, line {number}, is no account; expected USER:HASH: make it by "
                    "shapleycam web --hash-password USER"
                )
            if user in hashes:
                raise OptionError(f"{path}, line {number}, has the user {user!r} again; expected one line for each")
            hashes[user] = hashed
        if not hashes:
            raise OptionError(f"{path} has no account; make one by shapleycam web --hash-password USER >> {path}")
        return cls(hashes)

    @classmethod
    def of_text(cls, text: str, name: str) -> Accounts:
        """Return the single account of a text USER:PASSWORD; `name` says in messages where the text comes from.

        Raises:
            OptionError: the text has no user or no password.
        """
        user, _, password = text.partition(":")
        if not (user and password):
            raise OptionError(f"{name} has no user or no password; expected USER:PASSWORD")
        return cls({user: hash_password(password)})


def hash_password(password: str) -> str:
    """Return the hash of a password, including its salt and scrypt's parameters."""
    salt = secrets.token_bytes(_SALT_BYTES)
    parts = (_KIND, str(_N), str(_R), str(_P), _text_of(salt), _text_of(_scrypt(password, salt, _N, _R, _P)))
    return "$".join(parts)


def _matches(password: str, hashed: str) -> bool:
    n, r, p, salt, expected = _parts_of(hashed)
    return hmac.compare_digest(_scrypt(password, salt, n, r, p), expected)


def _is_hash(hashed: str) -> bool:
    try:
        n, r, p, salt, expected = _parts_of(hashed)
    except ValueError:
        return False
    return (n, r, p, len(salt), len(expected)) == (_N, _R, _P, _SALT_BYTES, _HASH_BYTES)


def _parts_of(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    kind, n, r, p, salt, expected = hashed.split("$")
    if kind != _KIND:
        raise ValueError(kind)
    return int(n), int(r), int(p), b64decode(salt, validate=True), b64decode(expected, validate=True)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=_HASH_BYTES
    )


def _text_of(content: bytes) -> str:
    return b64encode(content).decode()
