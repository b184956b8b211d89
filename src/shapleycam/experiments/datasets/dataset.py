"""What a dataset of photographs is: names, labels, and a way to open each picture."""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.images import raise_image_errors
from shapleycam.wording import one_line as one_line  # noqa: PLC0414  # the other datasets import it from here

Label: TypeAlias = "str | int | None"


class Dataset(ABC):
    """Photographs in an order that is the same on every machine; it can be pickled for worker processes.

    `origin` is what the user named. Each image has one of `names`, unique and relative, with "/" between its parts,
    and one of `labels`, as the dataset states it. `classes` are the names of the dataset's own classes in the order in
    which a network trained on it numbers them, None where the dataset has no such order.
    """

    origin: str
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.names)

    @abstractmethod
    def open(self, index: int) -> Path | Image.Image:
        """The photograph, or the path of its file, which is not looked at yet.

        Raises:
            ImageError: it cannot be read.
        """

    @abstractmethod
    def mark(self, index: int) -> str:
        """What tells cheaply that an image's content is another one than before, such as size and a sample."""

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over names, labels, classes and marks; where the dataset lies does not count."""
        classes = None if self.classes is None else list(self.classes)
        digest = hashlib.sha256(json.dumps(classes).encode())
        for index, (name, label) in enumerate(zip(self.names, self.labels, strict=True)):
            digest.update(json.dumps([name, label, self.mark(index)]).encode())
        return digest.hexdigest()

    def first(self, limit: int) -> Dataset:
        """The first `limit` images, or all where there are not so many.

        Raises:
            OptionError: the limit is below 1.
        """
        if limit < 1:
            raise OptionError(f"the limit of images is {limit}; expected 1 or more")
        return self if limit >= len(self) else Subset(self, limit)


@dataclass(frozen=True, eq=False, repr=False)
class Subset(Dataset):
    """The first `length` images of a dataset; its classes stay those of the whole."""

    whole: Dataset
    length: int

    def __post_init__(self) -> None:
        """Take over what the whole says of itself."""
        object.__setattr__(self, "origin", self.whole.origin)
        object.__setattr__(self, "names", self.whole.names[: self.length])
        object.__setattr__(self, "labels", self.whole.labels[: self.length])
        object.__setattr__(self, "classes", self.whole.classes)

    def open(self, index: int) -> Path | Image.Image:
        """As the whole opens it."""
        return self.whole.open(_within(index, self.length))

    def mark(self, index: int) -> str:
        """As the whole marks it."""
        return self.whole.mark(_within(index, self.length))


def decoded(content: bytes, name: str) -> Image.Image:
    """The picture in a file's content; its pixels are decoded later, when they are used.

    Raises:
        ImageError: empty, not an image, its header damaged, or of far too many pixels.
    """
    if not content:
        raise ImageError(f"{name}: the picture is empty (0 bytes); get the dataset again")
    with raise_image_errors(name, "dataset"):
        return Image.open(io.BytesIO(content))


def _within(index: int, length: int) -> int:
    if not -length <= index < length:
        raise IndexError(index)
    return index % length
