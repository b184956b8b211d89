"""Checkpoints written byte by byte: what torch.save never writes, and somebody else may."""

from __future__ import annotations

import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class Name:
    """A global of a module."""

    module: str
    name: str


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a global, when the file is unpickled."""

    function: Name
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Stored:
    """A reference to a storage: its key, the number of its elements, and their type."""

    key: str
    count: int
    kind: Name = Name("torch", "FloatStorage")
    view: tuple[None, ...] = ()


ORDERED = Call(Name("collections", "OrderedDict"))


def tensor(storage: Any, size: tuple[int, ...], stride: tuple[int, ...] = (1,), offset: int = 0) -> Call:
    """Return a tensor of a storage, as torch.save writes it."""
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, offset, size, stride, False, ORDERED))


def pickled(value: Any) -> bytes:
    """Return a pickle in protocol 2, with the opcodes of torch.save."""
    return b"\x80\x02" + opcodes(value) + b"."


def opcodes(value: Any) -> bytes:
    """Return the opcodes that make a value."""
    code = b""
    match value:
        case Name(module, name):
            code = f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            code = opcodes(function) + opcodes(arguments) + b"R"
        case Stored(key, count, kind, view):
            code = opcodes(("storage", kind, key, "cpu", count, *view)) + b"Q"
        case None | True | False:
            code = {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            number = pickle.encode_long(value)
            code = b"\x8a" + bytes([len(number)]) + number
        case str():
            code = b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            code = b"(" + b"".join(map(opcodes, value)) + b"t"
        case list():
            code = b"](" + b"".join(map(opcodes, value)) + b"e"
        case dict():
            code = b"}(" + b"".join(opcodes(key) + opcodes(item) for key, item in value.items()) + b"u"
    return code


def write_archive(
    path: Path,
    content: Any,
    storages: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
    **more: Any,
) -> Path:
    """Write a file in the form of torch.save since torch 1.6; `more` are further members by name."""
    members = {"data.pkl": content if isinstance(content, bytes) else pickled(content), "byteorder": b"little"}
    members |= {f"data/{key}": numbers for key, numbers in (storages or {}).items()} | {"version": b"3\n"} | more
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, numbers in members.items():
            archive.writestr(f"x/{name}", numbers)
    return path


def write_legacy(path: Path, content: Any, storages: dict[str, bytes], keys: list[str] | None = None) -> Path:
    """Write a file in the form of torch.save before torch 1.6; the lengths of storages are those of floats."""
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    pickles = (MAGIC, 1001, info, content, list(storages) if keys is None else keys)
    numbers = b"".join(struct.pack("<q", len(data) // 4) + data for data in storages.values())
    path.write_bytes(b"".join(pickle.dumps(each, 2) if each is MAGIC else pickled(each) for each in pickles) + numbers)
    return path
