"""Damage done to files: bits, numbers, cuts, copies, tokens of the format and pieces of other files."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

LONGEST = 1 << 16
"""Bytes of a damaged file at most, so that each is quick to read."""
_EDGES = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_DIGITS = (b"0", b"-1", b"1e999", b"nan", b"99999999999999999999", b"4294967296", b"0.5", b"null", b"[]", b'""')


def mutate(content: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]) -> bytes:
    """Return the content with one to six kinds of damage, most often one or two."""
    data = bytearray(content)
    for _ in range(min(6, 1 + int(rng.expovariate(0.8)))):
        rng.choice(_KINDS)(data, rng, tokens, others)
    return bytes(data[:LONGEST])


def _flip_bits(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_bytes(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    start, length = _piece(data, rng, 8)
    data[start : start + length] = rng.randbytes(length)


def _set_number(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    value, size = rng.choice(_EDGES), rng.choice((1, 2, 4, 8))
    packed = struct.pack(rng.choice("<>") + "Q", value % 256**size)
    start = rng.randrange(len(data) + 1)
    number = packed.strip(b"\0").rjust(size, b"\0")[-size:] if rng.random() < 0.5 else packed[:size]
    data[start : start + size] = number


def _cut_end(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    start, length = _piece(data, rng, 64)
    del data[start : start + length]


def _repeat(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    start, length = _piece(data, rng, 256)
    data[start:start] = data[start : start + length] * rng.choice((1, 1, 2, 30))


def _insert_token(data: bytearray, rng: random.Random, tokens: Sequence[bytes], *_: Sequence[bytes]) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.choice(tokens or _DIGITS)


def _write_token(data: bytearray, rng: random.Random, tokens: Sequence[bytes], *_: Sequence[bytes]) -> None:
    token = rng.choice((*tokens, *_DIGITS))
    start = rng.randrange(len(data) + 1)
    data[start : start + rng.choice((len(token), 1))] = token


def _splice(data: bytearray, rng: random.Random, _: Sequence[bytes], others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]


def _swap(data: bytearray, rng: random.Random, *_: Sequence[bytes]) -> None:
    (first, length), (second, _length) = _piece(data, rng, 64), _piece(data, rng, 64)
    a, b = data[first : first + length], data[second : second + length]
    data[first : first + length], data[second : second + length] = b, a


def _piece(data: bytearray, rng: random.Random, longest: int) -> tuple[int, int]:
    """Return where a random piece of the data begins, and how long it is."""
    start = rng.randrange(len(data) + 1)
    return start, min(rng.randint(1, longest), len(data) - start)


_KINDS: tuple[Callable[..., None], ...] = (
    *(_flip_bits, _flip_bits, _set_bytes, _set_number, _set_number, _cut_end, _remove, _repeat, _insert_token),
    *(_write_token, _write_token, _splice, _swap),
)
