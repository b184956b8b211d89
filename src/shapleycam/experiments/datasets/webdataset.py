"""WebDataset's tar shards, read in any order."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.dataset import Dataset, Label, decoded
from shapleycam.experiments.datasets.files import file_mark
from shapleycam.experiments.datasets.shards import Member, members
from shapleycam.images import SUFFIXES

_PICTURES = tuple(
    sorted((suffix[1:] for suffix in SUFFIXES), key=lambda suffix: (suffix not in {"jpg", "jpeg"}, suffix))
)
"""Suffixes of pictures, photographs first: a .png beside a .jpg is a mask."""

_LABEL_LIMIT = 1 << 20
"""A file that should hold a label is not read if it has more bytes than this."""

_SHARD_LIMIT = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")


@dataclass(frozen=True, eq=False, repr=False)
class Shards(Dataset):
    """Photographs in tar files; a shard is opened for each, and nothing is extracted to disk."""

    origin: str
    pictures: Sequence[Member]
    names: Sequence[str]
    labels: Sequence[Label]

    def open(self, index: int) -> Image.Image:
        """The picture in its member.

        Raises:
            ImageError: the shard cannot be read, or the member is no picture.
        """
        return decoded(self.pictures[index].content(), self.names[index])

    def mark(self, index: int) -> str:
        """The member's size, and a sample of its content."""
        member = self.pictures[index]
        return file_mark(member.shard, member.offset, member.size)


def shards(pattern: str | Path) -> Shards:
    """The photographs in one .tar, a folder of them, a glob, or a brace pattern such as `dir/{000..009}.tar`.

    Shards are in sorted order, or in that of the braces, and photographs in that of their shard. The label is the text
    or number in a sample's .cls, else "label" or "cls" of its .json.

    Raises:
        OptionError: the pattern names no shard.
        ImageError: a shard is missing, damaged or cut short, without pictures, or has a name or a label that cannot be.
    """
    origin = str(pattern)
    pictures: list[Member] = []
    names: list[str] = []
    labels: list[Label] = []
    paths = _expanded(origin)
    for path, shown in zip(paths, _shown(paths), strict=True):
        for picture, label in _samples(path):
            pictures.append(picture)
            names.append(f"{shown}/{picture.key}.{picture.suffix}")
            labels.append(label)
    if not pictures:
        raise ImageError(f"{origin}: shards without pictures; expected members such as .jpg or .png")
    return Shards(origin, tuple(pictures), tuple(names), tuple(labels))


def is_pattern(source: str) -> bool:
    """Whether a source is a glob or a brace pattern of shards."""
    return source.endswith(".tar") and bool(_BRACES.search(source) or re.search(r"[*?\[]", source))


def _samples(shard: Path) -> list[tuple[Member, Label]]:
    """Each picture of a shard with its label; what shares a key belongs together."""
    samples: dict[str, dict[str, Member]] = {}
    for member in members(shard):
        sample = samples.setdefault(member.key, {})
        if member.suffix in sample:
            raise ImageError(f"{member.name} is there twice; expected keys that are unique within a shard")
        sample[member.suffix] = member
    found = []
    for sample in samples.values():
        picture = next((sample[suffix] for suffix in _PICTURES if suffix in sample), None)
        if picture is not None:
            found.append((picture, _label(sample)))
    return found


def _label(sample: dict[str, Member]) -> Label:
    if "cls" in sample:
        text = _text(sample["cls"]).strip()
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text or None
    if "json" in sample:
        return _stated(sample["json"])
    return None


def _stated(member: Member) -> Label:
    """The label that a sample's JSON states."""
    try:
        facts: Any = json.loads(_text(member))
    except (ValueError, RecursionError):
        raise ImageError(f"{member.name} is not JSON; write the shard again") from None
    stated = [facts[key] for key in ("label", "cls") if key in facts] if isinstance(facts, dict) else []
    label = stated[0] if stated else None
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


def _expanded(pattern: str) -> list[Path]:
    """The shards that a path, a folder, a glob or a brace pattern names."""
    if Path(pattern).is_file():
        return [Path(pattern)]
    if Path(pattern).is_dir():
        found = sorted(Path(pattern).glob("*.tar"))
    elif _BRACES.search(pattern):
        return _braced(pattern)
    else:
        found = sorted(map(Path, glob(pattern)))  # noqa: PTH207  a pattern with all of its way
    if not found:
        raise OptionError(f"{pattern}: no such shards; expected a .tar, a folder of them, or a pattern that finds some")
    return found


def _braced(pattern: str) -> list[Path]:
    texts = _BRACES.split(pattern)  # what is outside and inside of braces, in turn
    parts = [_choices(text, pattern) if place % 2 else [text] for place, text in enumerate(texts)]
    total = prod(map(len, parts))
    if total > _SHARD_LIMIT:
        raise OptionError(f"{pattern}: names {total:,} shards; expected at most {_SHARD_LIMIT:,}")
    found = [Path("".join(chosen)) for chosen in product(*parts)]
    if len(set(found)) < len(found):
        raise OptionError(f"{pattern}: names a shard twice; name each once")
    return found


def _choices(inside: str, pattern: str) -> Sequence[str]:
    """What a pair of braces stands for: `000..009` or `a,b`."""
    ends = _RANGE.fullmatch(inside)
    if not ends:
        return inside.split(",")
    first, last = map(int, ends.groups())
    if last < first or last - first >= _SHARD_LIMIT:
        raise OptionError(f"{pattern}: {{{inside}}} counts {first} to {last}; expected up to {_SHARD_LIMIT:,} upwards")
    return [f"{number:0{len(ends.group(1))}d}" for number in range(first, last + 1)]


def _shown(paths: Sequence[Path]) -> list[str]:
    """The shards' names: their own, with as much of the way before them as tells them apart."""
    if len({path.name for path in paths}) == len(paths):
        return [path.name for path in paths]
    full = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100  resolve() would follow links
    around = os.path.commonpath(full)
    return [path.relative_to(around).as_posix() for path in full]
