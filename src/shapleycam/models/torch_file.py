"""Checking a file of torch.save before torch reads it: it contains only tensors, and as many bytes as it declares."""

from __future__ import annotations

import os
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from io import BufferedReader, BytesIO
from pathlib import Path

from shapleycam.foreign_errors import convert_errors
from shapleycam.models.pickle_check import CheckedPickle, check_pickle
from shapleycam.models.pickle_rules import DamagedPickleError, Node, ObjectInPickleError
from shapleycam.wording import on_one_line

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of a file from torch.save before torch 1.6: a pickle of its magic number."""
_PICKLE = b"\x80"
_PICKLE_LIMIT = 1 << 30
_SCRIPT = "a TorchScript archive, which holds code, and code of a file is never run; save state_dict() of the model"
_TOO_OLD = "a tar archive, the form of torch before 2017; read it with that torch, and save model.state_dict() anew"
_REMEDY = "get the file again, or save model.state_dict() anew"


class UnusableFileError(ValueError):
    """A file cannot be used; the message says why, and what to do."""


def check_torch_file(path: Path) -> None:
    """Check that a file contains only plain tensors, all complete, and declares no more bytes than it has.

    Raises:
        UnusableFileError: the file is damaged, or contains something else, such as code.
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(512)
            file.seek(0)
            if beginning.startswith(_ZIP):
                _check_archive(file)
            elif beginning.startswith(_LEGACY):
                _check_legacy(file)
            elif beginning[257:262] == b"ustar" or tarfile.is_tarfile(file):
                raise UnusableFileError(_TOO_OLD)
            else:
                file.seek(0)
                _refuse_unknown(file, beginning)
    except ObjectInPickleError as error:
        raise UnusableFileError(
            f"holds {error}, and objects are never unpickled; save model.state_dict(), best as .safetensors"
        ) from None
    except DamagedPickleError as error:
        raise damaged(str(error)) from None


def damaged(reason: str) -> UnusableFileError:
    """Return the error for a file that is incomplete, or that torch.save did not write."""
    return UnusableFileError(f"not a readable torch file ({reason}); {_REMEDY}")


def _refuse_unknown(file: BufferedReader, beginning: bytes) -> None:
    """Refuse a file of neither form; the message names the content of a pickle, or else the file's first bytes."""
    if not beginning:
        raise damaged("it is empty")
    if beginning.startswith(_PICKLE):
        check_pickle(file)
    raise damaged(f"it begins with {beginning[:8]!r}")


def _check_archive(file: BufferedReader) -> None:
    """Check a zip archive, the form that torch.save writes since torch 1.6."""
    errors_of_zipfile = convert_errors(
        lambda error: damaged(on_one_line(error)[:200]),
        UnusableFileError, ObjectInPickleError, DamagedPickleError, OSError,
    )  # fmt: skip
    with errors_of_zipfile, zipfile.ZipFile(file) as archive:
        _check_members(archive.infolist(), file)
        members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
        content = _check_content(archive, members)
    for key, size in content.storages.items():
        member = members.get(f"data/{key}")
        if member is None or member.file_size != size:
            length = "missing" if member is None else f"of {member.file_size:,} bytes"
            raise damaged(f"storage {key!r:.40} is {length}, expected {size:,} bytes")


def _check_content(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> CheckedPickle:
    if "data.pkl" not in members or members["data.pkl"].file_size > _PICKLE_LIMIT:
        raise damaged("the archive has no data.pkl, or one that is too large")
    return check_pickle(BytesIO(archive.read(members["data.pkl"])))


def _check_members(members: list[zipfile.ZipInfo], file: BufferedReader) -> None:
    names = [member.filename for member in members]
    parts = [name.casefold().split("/") for name in names]
    if any(part[-1] == "constants.pkl" or "code" in part for part in parts):
        raise UnusableFileError(_SCRIPT)
    if len(set(names)) < len(names):
        raise damaged("the archive has two members of one name")
    compressed = next((member.filename for member in members if member.compress_type != zipfile.ZIP_STORED), None)
    if compressed is not None:
        raise damaged(f"{compressed!r:.60} is compressed, which torch.save does not do")
    declared, available = sum(member.file_size for member in members), os.fstat(file.fileno()).st_size
    if declared > available:
        raise damaged(f"its members have {declared:,} bytes, and the file {available:,}")
    if not _directory_is_at_end(file, available):
        raise damaged("the archive's directory is not where its end says")


def _directory_is_at_end(file: BufferedReader, size: int) -> bool:
    """Return whether the directory is directly before the archive's end record, at the offset that the record states.

    Python's zipfile searches before the end record; torch goes to the stated offset. In a crafted file they would read
    two different directories.
    """
    file.seek(max(0, size - 98))
    tail = file.read()
    if tail[-22:-18] != b"PK\5\6":
        return False
    length, start = struct.unpack("<II", tail[-10:-2])
    end = size - 22
    if tail[:4] == b"PK\6\6" and tail[-42:-38] == b"PK\6\7":
        length, start = struct.unpack("<QQ", tail[40:56])
        end = size - 98
    return bool(start + length == end)


def _check_legacy(file: BufferedReader) -> None:
    """Check the form of torch before 1.6: five pickles, then for each storage its length and its bytes."""
    *_, content, keys = (check_pickle(file) for _ in range(5))
    if not isinstance(keys.root, Node) or set(keys.root.elements) != content.storages.keys():
        raise damaged("the storages in the file are not those of its tensors")
    _check_size(file, content)


def _check_size(file: BufferedReader, content: CheckedPickle) -> None:
    expected = sum(8 + size for size in content.storages.values())
    available = os.fstat(file.fileno()).st_size - file.tell()
    if expected != available:
        raise damaged(f"its storages have {available:,} bytes, expected {expected:,}")
