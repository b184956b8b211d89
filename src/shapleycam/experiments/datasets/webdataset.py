"""`open_shards`: a dataset from WebDataset's tar shards, with random access."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from PIL import Image

from shapleycam.errors import DatasetWarning, ImageError, warn
from shapleycam.experiments.datasets.byte_sources import ByteSource
from shapleycam.experiments.datasets.dataset import ENCODED_LIMIT, Dataset, Label, open_encoded_image
from shapleycam.experiments.datasets.relative_names import relative_names
from shapleycam.experiments.datasets.shards import LABEL_SUFFIXES, Member, list_members
from shapleycam.images import SUFFIXES
from shapleycam.printable import printable_name
from shapleycam.wording import counted

_PICTURES = tuple(
    sorted((suffix[1:] for suffix in SUFFIXES), key=lambda suffix: (suffix not in {"jpg", "jpeg"}, suffix))
)
"""Suffixes of pictures, with .jpg and .jpeg first, because a .png beside a .jpg is usually a mask."""


@dataclass(frozen=True, eq=False, repr=False)
class ShardDataset(Dataset):
    """Photographs in tar files; the shard is opened for each photograph, and nothing is extracted to disk."""

    origin: str
    pictures: Sequence[Member]
    names: Sequence[str]
    labels: Sequence[Label]

    def open(self, index: int) -> Image.Image:
        """Return the picture in a member of a shard.

        Raises:
            ImageError: the shard cannot be read, or the member is not a picture.
        """
        member = self.pictures[index]
        if member.size > ENCODED_LIMIT:
            raise ImageError(f"{self.names[index]}: {member.size:,} bytes are too many for a picture; make it smaller")
        return open_encoded_image(member.content(), self.names[index])

    def content_signature(self, index: int) -> str:
        """Return the member's size and a sample of its content."""
        member = self.pictures[index]
        return member.shard.signature(member.offset, member.size)


def open_shards(origin: str, shards: Sequence[ByteSource]) -> ShardDataset:
    """Return a dataset of the photographs in tar files, in the order of the files and of their members.

    The label of a sample is the text or number in its .cls, or else "label" or "cls" in its .json. Samples without a
    picture are left out, with a `DatasetWarning` if they have a label.

    Raises:
        ImageError: a shard is missing, damaged or truncated, or has an invalid name or label; or there are no pictures.
    """
    pictures: list[Member] = []
    names: list[str] = []
    labels: list[Label] = []
    without: list[str] = []
    for shard, shard_name in zip(shards, _shard_names(shards), strict=True):
        for key, sample in _samples(shard).items():
            picture = next((sample[suffix] for suffix in _PICTURES if suffix in sample), None)
            if picture is None:
                if any(suffix in sample for suffix in LABEL_SUFFIXES):
                    without.append(f"{shard_name}/{printable_name(key)}")
                continue
            pictures.append(picture)
            names.append(f"{shard_name}/{printable_name(f'{picture.key}.{picture.suffix}')}")
            labels.append(_label(sample))
    if not pictures:
        raise ImageError(f"{origin}: shards without pictures; expected members such as .jpg or .png")
    _warn_of_samples_without(origin, without)
    return ShardDataset(printable_name(origin), tuple(pictures), tuple(names), tuple(labels))


def _samples(shard: ByteSource) -> dict[str, dict[str, Member]]:
    """Return the samples of a shard by key; a sample is all members with the same key, by suffix."""
    samples: dict[str, dict[str, Member]] = {}
    for member in list_members(shard):
        sample = samples.setdefault(member.key, {})
        if member.suffix in sample:
            raise ImageError(f"{member.name} is there twice; expected keys that are unique within a shard")
        sample[member.suffix] = member
    return samples


def _warn_of_samples_without(origin: str, keys: Sequence[str]) -> None:
    if keys:
        warn(
            DatasetWarning,
            f"{origin}: {counted(len(keys), 'sample')} left out that have a label and no picture "
            f"({keys[0]}{', …' if len(keys) > 1 else ''}); expected members such as .jpg beside them",
        )


def _label(sample: dict[str, Member]) -> Label:
    if "cls" in sample:
        text = _text(sample["cls"]).strip()
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else printable_name(text) or None
    return _json_label(sample["json"]) if "json" in sample else None


def _json_label(member: Member) -> Label:
    """Return the label in a sample's JSON."""
    try:
        content: Any = json.loads(_text(member))
    except (ValueError, RecursionError):
        raise ImageError(f"{member.name} is not JSON; write the shard again") from None
    labels = [content[key] for key in ("label", "cls") if key in content] if isinstance(content, dict) else []
    label = labels[0] if labels else None
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    is_label = isinstance(label, (int, str, type(None))) and not isinstance(label, bool)
    if not is_label or (isinstance(label, int) and abs(label) >= 10**18):
        raise ImageError(f"{member.name} states the label {label!r:.80}; expected a whole number or text")
    return printable_name(label) if isinstance(label, str) else label


def _text(member: Member) -> str:
    try:
        return (member.text or b"").decode()
    except UnicodeDecodeError:
        raise ImageError(f"{member.name} is not text; write the shard again") from None


def _shard_names(shards: Sequence[ByteSource]) -> Sequence[str]:
    """Return a printable name for each shard: its file name, or a relative path if file names are not unique."""
    names = [printable_name(PurePath(shard.path).name) for shard in shards]
    if len(set(names)) == len(names):
        return names
    return relative_names([os.path.abspath(shard.path) for shard in shards])  # noqa: PTH100  no link is followed
