"""`Dataset`: the interface of a dataset of photographs, with names, labels, and a method that opens each picture."""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.regions import Annotations
from shapleycam.images import raise_image_errors

Label: TypeAlias = "str | int | None"

ENCODED_LIMIT = 1 << 29
"""Maximum size in bytes of an encoded photograph."""


class Dataset(ABC):
    """Photographs in an order that is the same on every machine; a dataset can be pickled for worker processes.

    Attributes:
        origin: the path or name of the dataset, as the user gave it.
        names: a name for each image, unique and relative, with "/" between its parts.
        labels: the label of each image, as the dataset has it.
        classes: the names of the dataset's classes, in the order in which a network trained on it numbers them; None if
            the dataset has no such order.
        annotations: the dataset's own annotations of objects; None if it has none.
        input_size: (height, width) at which networks must see the whole pictures; None if each network uses its own
            preprocessing.
        maker: the function that made the dataset, if it cannot be opened again by its `origin`; else "".
    """

    origin: str
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None
    annotations: Annotations | None = None
    input_size: tuple[int, int] | None = None
    maker: str = ""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    @abstractmethod
    def open(self, index: int) -> Path | Image.Image:
        """Return the photograph, or the path of its file, which is not read here.

        Raises:
            ImageError: the photograph cannot be read.
        """

    @abstractmethod
    def content_signature(self, index: int) -> str:
        """Return a cheap text that changes with the image's content, such as its size and a hash of a sample."""

    def fingerprint(self, content_signature: Callable[[int], str] | None = None) -> str:
        """Return the SHA-256, in hexadecimal, of names, labels, classes and content signatures.

        It does not depend on the location of the dataset. If `content_signature` is given, it replaces the dataset's
        own method.
        """
        signature = content_signature or self.content_signature
        classes = None if self.classes is None else list(self.classes)
        digest = hashlib.sha256(json.dumps(classes).encode())
        for index, (name, label) in enumerate(zip(self.names, self.labels, strict=True)):
            digest.update(json.dumps([name, label, signature(index)]).encode())
        return digest.hexdigest()

    def first(self, limit: int) -> Dataset:
        """Return a dataset of the first `limit` images, or of all if there are fewer.

        Raises:
            OptionError: the limit is below 1.
        """
        if limit < 1:
            raise OptionError(f"the limit of images is {limit}; expected 1 or more")
        return self if limit >= len(self) else Subset(self, limit)


@dataclass(frozen=True, eq=False, repr=False)
class Subset(Dataset):
    """The first `length` images of a dataset, with the classes and annotations of the whole dataset."""

    whole: Dataset
    length: int

    def __post_init__(self) -> None:
        """Copy the attributes of the whole dataset."""
        object.__setattr__(self, "origin", self.whole.origin)
        object.__setattr__(self, "names", self.whole.names[: self.length])
        object.__setattr__(self, "labels", self.whole.labels[: self.length])
        for name in ("classes", "annotations", "input_size", "maker"):
            object.__setattr__(self, name, getattr(self.whole, name))

    def open(self, index: int) -> Path | Image.Image:
        """Return an image, as the whole dataset does."""
        return self.whole.open(_check_index(index, self.length))

    def content_signature(self, index: int) -> str:
        """Return a signature, as the whole dataset does."""
        return self.whole.content_signature(_check_index(index, self.length))


def open_encoded_image(content: bytes, name: str) -> Image.Image:
    """Return the picture in a file's content; its pixels are decoded later, at their first use.

    Raises:
        ImageError: the content is empty, is not an image, has a damaged header, or has too many pixels or bytes.
    """
    if not content:
        raise ImageError(f"{name}: the picture is empty (0 bytes); get the dataset again")
    if len(content) > ENCODED_LIMIT:
        raise ImageError(f"{name}: over {ENCODED_LIMIT:,} bytes, too many for a picture; make it smaller")
    with raise_image_errors(name, "dataset"):
        return Image.open(io.BytesIO(content))


def pixel_hash(image: Image.Image) -> str:
    """Return the SHA-256, in hexadecimal, of a picture's pixels and the colours of its palette.

    Raises:
        OSError: the picture cannot be decoded; Pillow's readers may raise other errors too.
    """
    palette = bytes(image.getpalette("RGBA") or ()) if image.mode == "P" else b""
    return hashlib.sha256(f"{image.mode} {image.size} ".encode() + palette + image.tobytes()).hexdigest()


def _check_index(index: int, length: int) -> int:
    """Return a non-negative index; refuse an index out of range."""
    if not -length <= index < length:
        raise IndexError(index)
    return index % length
