"""`list_url`: files at URLs, opened by pyarrow (s3, gs, abfs, hdfs, as for results) or through fsspec (others)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

from pyarrow import fs

from shapleycam.errors import OptionError
from shapleycam.experiments.datasets.byte_sources import ByteSource, sample_signature
from shapleycam.experiments.datasets.patterns import expand_braces, fixed_part, has_braces, matches_glob
from shapleycam.foreign_errors import convert_errors
from shapleycam.urls import PYARROW_SCHEMES
from shapleycam.wording import on_one_line

_WEB_SCHEMES = frozenset({"http", "https", "ftp"})
"""Schemes that are refused: their servers cannot list files."""
_RETRY_LIMITS = {"gs": "retry_limit_seconds=30", "gcs": "retry_limit_seconds=30"}
"""Options for stores that otherwise retry for 15 minutes if there are no credentials."""
_URL = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<authority>[^/?]*)/*(?P<path>.*?)(?P<options>\?[^/?=]+=[^/]*)?",
    re.DOTALL,
)
_READ_AHEAD = 1 << 20
"""Size of a request in bytes, if small parts of a file are read one after the other."""


@dataclass(frozen=True)
class RemoteFile(ByteSource):
    """A file at a URL.

    Attributes:
        base: the URL of the file system, with options.
        path: the path in the file system.
        version: the file's size and time of change when the dataset was opened.
    """

    base: str
    path: str
    version: str

    def open(self) -> IO[bytes]:
        """Open the file, if it has not changed since the dataset was opened."""
        files = _file_system(self.base, os.getpid())[0]
        with convert_errors(lambda error: OSError(on_one_line(error)), OSError):
            current = _version(files, files.get_file_info(self.path))
            opened = None if current != self.version else files.open_input_file(self.path)
        if opened is None:
            raise OSError("it was changed or removed after the dataset was opened")
        return io.BufferedReader(opened, _READ_AHEAD)

    def signature(self, start: int = 0, size: int | None = None) -> str:
        """Return the file's size and time of change when the dataset was opened, and the part; without a request."""
        return self.version if size is None else f"{self.version} {start} {size}"

    def __str__(self) -> str:
        return f"{self.base.partition('://')[0]}://{self.path.lstrip('/')}"


@dataclass(frozen=True)
class RemoteListing:
    """The files of a URL in order, and their names relative to the folder of the URL."""

    files: Sequence[RemoteFile]
    names: Sequence[str]


def list_url(url: str) -> RemoteListing:
    """Return the files of a URL: a single file, all files in a folder, or the matches of a glob or brace pattern.

    Raises:
        OptionError: there are no files, the URL's file system cannot be used, or its driver is not installed.
    """
    base, path = _split(url)
    files, root = _open(url, base)
    texts = expand_braces(path) if has_braces(path) else [path]
    listed: dict[str, str] = {}
    for text in texts:
        matching = _list(url, files, f"{root}/{text}".rstrip("/"))
        if not matching and len(texts) > 1:
            raise OptionError(f"{url}: there is no {text}; expected every file that the braces name")
        listed |= matching
    if not listed:
        raise OptionError(f"{url}: no such file, folder or pattern there; check the address")
    folder = _folder_of(f"{root}/{path}".rstrip("/"), list(listed))
    names = [file[len(folder) :].lstrip("/") for file in listed]
    return RemoteListing([RemoteFile(base, file, version) for file, version in listed.items()], names)


def _split(url: str) -> tuple[str, str]:
    """Return the URL of the file system, with its options, and the path in it."""
    match = _URL.fullmatch(url)
    if match is None:
        raise OptionError(f"{url}: no address; expected a URL such as s3://bucket/photos/*.jpg")
    if match["scheme"].lower() in _WEB_SCHEMES:
        raise OptionError(f"{url}: a URL of a web server, which is not fetched; download it, and name the file")
    authority = match["authority"] or "/"  # for a scheme without hosts, such as local:///photos
    return f"{match['scheme'].lower()}://{authority}{match['options'] or ''}", match["path"].rstrip("/")


def _open(url: str, base: str) -> tuple[Any, str]:
    with convert_errors(
        lambda error: OptionError(
            f"{url}: cannot be used ({on_one_line(error)[:300]}); check the address and the credentials (s3, gs and "
            "abfs work by themselves, others need their package of fsspec)"
        )
    ):
        return _file_system(base, os.getpid())


@lru_cache(maxsize=4)
def _file_system(base: str, process: int) -> tuple[Any, str]:  # noqa: ARG001  connections are of one process
    """Return the file system for a URL, pyarrow's own if it has one and else fsspec's, and the path of its root."""
    scheme = base.partition("://")[0]
    address = base if scheme in PYARROW_SCHEMES else f"fsspec+{base}"
    if scheme in _RETRY_LIMITS and _RETRY_LIMITS[scheme].partition("=")[0] not in base:
        address += f"{'&' if '?' in base else '?'}{_RETRY_LIMITS[scheme]}"
    files, root = fs.FileSystem.from_uri(address)
    return files, root.rstrip("/")


def _list(url: str, files: Any, path: str) -> dict[str, str]:
    """Return the version of each file by path, for a path of a file or folder, or for a glob."""
    fixed = fixed_part(f"{path}/")
    with convert_errors(
        lambda error: OptionError(
            f"{url}: cannot be listed ({on_one_line(error)[:300]}); check the address and the credentials"
        )
    ):
        if fixed != path:
            infos = list(_matching(files, fixed, path[len(fixed) :].strip("/").split("/")))
        else:
            infos = [files.get_file_info(path)]
            if infos[0].type == fs.FileType.Directory:
                infos = files.get_file_info(fs.FileSelector(path, recursive=True))
        return {
            info.path: _version(files, info)
            for info in sorted(infos, key=lambda info: info.path.split("/"))
            if info.type == fs.FileType.File
        }


def _matching(files: Any, folder: str, patterns: Sequence[str]) -> Iterator[Any]:
    """Yield the entries in a folder that match a glob; only matching folders are listed, since buckets may be large."""
    deep = patterns[0] == "**"
    for info in files.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=deep)):
        parts = info.path[len(folder) :].strip("/")
        if deep or len(patterns) == 1:
            if matches_glob(parts, "/".join(patterns)):
                yield info
        elif info.type == fs.FileType.Directory and matches_glob(parts, patterns[0]):
            yield from _matching(files, info.path, patterns[1:])


def _version(files: Any, info: Any) -> str:
    """Return a file's size and time of change, or a hash of a sample of its content if the store has no times."""
    if info.type != fs.FileType.File:
        return "missing"
    if info.mtime_ns is not None:
        return f"{info.size} {info.mtime_ns}"
    with files.open_input_file(info.path) as file:
        return sample_signature(file)


def _folder_of(path: str, files: Sequence[str]) -> str:
    """Return the folder to which names are relative: the fixed part of a glob, the given folder, or a file's folder."""
    fixed = fixed_part(f"{path}/")
    return fixed.rpartition("/")[0] if fixed in files else fixed
