"""Files taken apart and put together with right checksums, so that damage reaches what lies behind the checksums."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fuzz_mutations import mutate

Pack = Callable[[Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Seed:
    """A valid file: its name in the folder of a reader, its parts, and what makes a file of parts."""

    name: str
    parts: tuple[bytes, ...]
    pack: Pack = b"".join

    def content(self) -> bytes:
        """The valid file."""
        return self.pack(self.parts)

    def damaged(self, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]) -> bytes:
        """The file with damage in its bytes, or in one of its parts, whose checksums are then right."""
        if len(self.parts) == 1 or rng.random() < 0.4:
            return mutate(self.content(), rng, tokens, others)
        parts = list(self.parts)
        for _ in range(rng.choice((1, 1, 2))):
            index = rng.randrange(len(parts))
            parts[index] = mutate(parts[index], rng, tokens, self.parts)
        return self.pack(parts)


def png(name: str, content: bytes) -> Seed:
    """A PNG; its parts are its chunks, each with its kind."""
    parts, start = [], 8
    while start < len(content):
        (length,) = struct.unpack(">I", content[start : start + 4])
        parts.append(content[start + 4 : start + 8 + length])
        start += length + 12
    return Seed(name, tuple(parts), _pack_png)


def zipped(name: str, content: bytes) -> Seed:
    """A zip archive; its parts are its members, under the names that they have."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        parts = tuple(archive.read(member) for member in members)

    def pack(contents: Sequence[bytes]) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for member, part in zip(members, contents, strict=True):
                archive.writestr(zipfile.ZipInfo(member.filename), part, compress_type=member.compress_type)
        return file.getvalue()

    return Seed(name, parts, pack)


def tar(name: str, content: bytes) -> Seed:
    """A tar archive; its parts are headers and contents in turn, and what follows the last content."""
    parts, start = [], 0
    while any(header := content[start : start + 512]):
        size = int(header[124:136].rstrip(b"\0 ") or b"0", 8)
        parts += [header, content[start + 512 : start + 512 + size]]
        start += 512 + -(-size // 512) * 512
    return Seed(name, tuple(parts), _pack_tar)


def safetensors(name: str, content: bytes) -> Seed:
    """A safetensors file; its parts are the JSON of its header, and the numbers."""
    (length,) = struct.unpack("<Q", content[:8])
    return Seed(name, (content[8 : 8 + length], content[8 + length :]), _pack_safetensors)


def _pack_png(parts: Sequence[bytes]) -> bytes:
    chunks = (struct.pack(">I", max(0, len(part) - 4)) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _pack_tar(parts: Sequence[bytes]) -> bytes:
    blocks = []
    for header, content in zip(parts[::2], parts[1::2], strict=True):
        block = bytearray(header[:512].ljust(512, b"\0"))
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        blocks += [bytes(block), content, bytes(-len(content) % 512)]
    return b"".join([*blocks, bytes(1024)])


def _pack_safetensors(parts: Sequence[bytes]) -> bytes:
    header, numbers = parts
    return struct.pack("<Q", len(header)) + header + numbers
