"""WebDataset's tar shards, read in any order."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

from braceexpand import braceexpand
from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.dataset import Dataset, Label, open_encoded_image
from shapleycam.experiments.datasets.files import file_signature
from shapleycam.experiments.datasets.shards import Member, list_members
from shapleycam.images import SUFFIXES

_PICTURES = tuple(
    sorted((suffix[1:] for suffix in SUFFIXES), key=lambda suffix: (suffix not in {"jpg", "jpeg"}, suffix))
)
"""Suffixes of pictures, photographs first: a .png next to a .jpg is a mask."""

_LABEL_LIMIT = 1 << 20
"""A file that should hold a label is not read if it has more bytes than this."""

_SHARD_LIMIT = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.-?[0-9]+)?")


@dataclass(frozen=True, eq=False, repr=False)
class ShardDataset(Dataset):
    """Photographs in tar files; a shard is opened for each, and nothing is extracted to disk."""

    origin: str
    pictures: Sequence[Member]
    names: Sequence[str]
    labels: Sequence[Label]

    def open(self, index: int) -> Image.Image:
        """Return the picture in its member.

        Raises:
            ImageError: the shard cannot be read, or the member is not a picture.
        """
        return open_encoded_image(self.pictures[index].content(), self.names[index])

    def content_signature(self, index: int) -> str:
        """Return the member's size and a sample of its content."""
        member = self.pictures[index]
        return file_signature(member.shard, member.offset, member.size)


def open_shards(pattern: str | Path) -> ShardDataset:
    """Open the photographs in one .tar, a folder of them, a glob, or a brace pattern such as `dir/{000..009}.tar`.

    Shards are in sorted order, or in that of the braces, and photographs in that of their shard. The label is the text
    or number in a sample's .cls, else "label" or "cls" of its .json.

    Raises:
        OptionError: the pattern names no shard.
        ImageError: a shard is missing, damaged or cut short, has no pictures, or an invalid name or label.
    """
    origin = str(pattern)
    pictures: list[Member] = []
    names: list[str] = []
    labels: list[Label] = []
    paths = _find_shards(origin)
    for path, shard_name in zip(paths, _shard_names(paths), strict=True):
        for picture, label in _samples(path):
            pictures.append(picture)
            names.append(f"{shard_name}/{picture.key}.{picture.suffix}")
            labels.append(label)
    if not pictures:
        raise ImageError(f"{origin}: shards without pictures; expected members such as .jpg or .png")
    return ShardDataset(origin, tuple(pictures), tuple(names), tuple(labels))


def is_shard_pattern(source: str) -> bool:
    """Return whether a source is a glob or a brace pattern of shards."""
    return source.endswith(".tar") and bool(_BRACES.search(source) or re.search(r"[*?\[]", source))


def _samples(shard: Path) -> list[tuple[Member, Label]]:
    """Return each picture of a shard with its label; members of one key are one sample."""
    samples: dict[str, dict[str, Member]] = {}
    for member in list_members(shard):
        sample = samples.setdefault(member.key, {})
        if member.suffix in sample:
            raise ImageError(f"{member.name} is there twice; expected keys that are unique within a shard")
        sample[member.suffix] = member
    pictures = []
    for sample in samples.values():
        picture = next((sample[suffix] for suffix in _PICTURES if suffix in sample), None)
        if picture is not None:
            pictures.append((picture, _label(sample)))
    return pictures


def _label(sample: dict[str, Member]) -> Label:
    if "cls" in sample:
        text = _text(sample["cls"]).strip()
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text or None
    if "json" in sample:
        return _json_label(sample["json"])
    return None


def _json_label(member: Member) -> Label:
    """Return the label in a sample's JSON."""
    try:
        content: Any = json.loads(_text(member))
    except (ValueError, RecursionError):
        raise ImageError(f"{member.name} is not JSON; write the shard again") from None
    labels = [content[key] for key in ("label", "cls") if key in content] if isinstance(content, dict) else []
    label = labels[0] if labels else None
    if isinstance(label, bool) or not isinstance(label, (int, str, type(None))):
        raise ImageError(f"{member.name} states the label {label!r:.80}; expected a whole number or text")
    return label


def _text(member: Member) -> str:
    if member.size > _LABEL_LIMIT:
        raise ImageError(f"{member.name} has {member.size:,} bytes; expected a label of at most {_LABEL_LIMIT:,}")
    try:
        return member.content().decode()
    except UnicodeDecodeError:
        raise ImageError(f"{member.name} is not text; write the shard again") from None


def _find_shards(pattern: str) -> list[Path]:
    """Return the shards that a path, a folder, a glob or a brace pattern names."""
    if Path(pattern).is_file():
        return [Path(pattern)]
    if Path(pattern).is_dir():
        paths = sorted(Path(pattern).glob("*.tar"))
    elif _BRACES.search(pattern):
        return _expand_braces(pattern)
    else:
        paths = sorted(map(Path, glob(pattern)))  # noqa: PTH207  the pattern may be absolute
    if not paths:
        raise OptionError(f"{pattern}: no such shards; expected a .tar, a folder of them, or a pattern that finds some")
    return paths


def _expand_braces(pattern: str) -> list[Path]:
    """Return the shards of a brace pattern, as bash and webdataset expand it; zero padding is kept."""
    # braceexpand holds every range in memory, so shards are counted before it expands any. The count is exact where
    # braces are not nested; for others the expansion itself is cut off.
    total = prod(_count_alternatives(braces, pattern) for braces in _BRACES.findall(pattern))
    if total > _SHARD_LIMIT:
        raise OptionError(f"{pattern}: names {total:,} shards; expected at most {_SHARD_LIMIT:,}")
    try:
        paths = [Path(text) for text in islice(braceexpand(pattern, escape=False), _SHARD_LIMIT + 1)]
    except ValueError:  # UnbalancedBracesError
        raise OptionError(f"{pattern}: braces are not in pairs; expected a pattern like dir/{{000..009}}.tar") from None
    if len(paths) > _SHARD_LIMIT:
        raise OptionError(f"{pattern}: names over {_SHARD_LIMIT:,} shards; expected at most {_SHARD_LIMIT:,}")
    if len(set(paths)) < len(paths):
        raise OptionError(f"{pattern}: names a shard twice; name each once")
    return paths


def _count_alternatives(braces: str, pattern: str) -> int:
    """Return how many texts the content of a pair of braces stands for: `000..009` or `a,b`."""
    ends = _RANGE.fullmatch(braces)
    if not ends:
        return braces.count(",") + 1
    first, last = map(int, ends.groups())
    if last < first or last - first >= _SHARD_LIMIT:
        raise OptionError(f"{pattern}: {{{braces}}} counts {first} to {last}; expected up to {_SHARD_LIMIT:,} upwards")
    return last - first + 1


def _shard_names(paths: Sequence[Path]) -> list[str]:
    """Return the shards' file names, or relative paths where several have one file name."""
    if len({path.name for path in paths}) == len(paths):
        return [path.name for path in paths]
    full = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100  resolve() would follow links
    common = os.path.commonpath(full)
    return [path.relative_to(common).as_posix() for path in full]
