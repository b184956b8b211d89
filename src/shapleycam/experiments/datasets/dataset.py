"""What a dataset of photographs is: names, labels, and a method that opens each picture."""

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
"""A file in a dataset of more bytes than this is no photograph, and is not read whole."""


class Dataset(ABC):
    """Photographs in an order that is the same on every machine; it can be pickled for worker processes.

    Attributes:
        origin: what the user named.
        names: of each image, unique and relative, with "/" between their parts.
        labels: of each image, as the dataset states them.
        classes: the names of the dataset's own classes in the order in which a network trained on it numbers them; None
            where the dataset has no such order.
        annotations: where the objects are, where the dataset says so by itself.
        input_size: (height, width) at which networks have to see the whole pictures; None where each network cuts them
            in its own way.
        maker: the function that makes it, where it lies at no place from which it could be opened again; "" otherwise.
    """

    origin: str
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[str] | None = None
    annotations: Annotations | None = None
    input_size: tuple[int, int] | None = None
    maker: str = ""

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.names)

    @abstractmethod
    def open(self, index: int) -> Path | Image.Image:
        """Return the photograph, or the path of its file, which has not been read yet.

        Raises:
            ImageError: it cannot be read.
        """

    @abstractmethod
    def content_signature(self, index: int) -> str:
        """Return what shows cheaply that an image's content has changed, such as its size and a sample of it."""

    def fingerprint(self, content_signature: Callable[[int], str] | None = None) -> str:
        """Return the SHA-256, in hexadecimal, of names, labels, classes and content signatures.

        It does not depend on where the dataset lies. `content_signature` is called in place of the dataset's own.
        """
        signature = content_signature or self.content_signature
        classes = None if self.classes is None else list(self.classes)
        digest = hashlib.sha256(json.dumps(classes).encode())
        for index, (name, label) in enumerate(zip(self.names, self.labels, strict=True)):
            digest.update(json.dumps([name, label, signature(index)]).encode())
        return digest.hexdigest()

    def first(self, limit: int) -> Dataset:
        """Return the first `limit` images, or all where there are not so many.

        Raises:
            OptionError: the limit is below 1.
        """
        if limit < 1:
            raise OptionError(f"the limit of images is {limit}; expected 1 or more")
        return self if limit >= len(self) else Subset(self, limit)


@dataclass(frozen=True, eq=False, repr=False)
class Subset(Dataset):
    """The first `length` images of a dataset; its classes and annotations stay those of the whole."""

    whole: Dataset
    length: int

    def __post_init__(self) -> None:
        """Copy the whole's attributes."""
        object.__setattr__(self, "origin", self.whole.origin)
        object.__setattr__(self, "names", self.whole.names[: self.length])
        object.__setattr__(self, "labels", self.whole.labels[: self.length])
        for name in ("classes", "annotations", "input_size", "maker"):
            object.__setattr__(self, name, getattr(self.whole, name))

    def open(self, index: int) -> Path | Image.Image:
        """Open an image as the whole does."""
        return self.whole.open(_check_index(index, self.length))

    def content_signature(self, index: int) -> str:
        """Return the whole's signature."""
        return self.whole.content_signature(_check_index(index, self.length))


def open_encoded_image(content: bytes, name: str) -> Image.Image:
    """Open the picture in a file's content; its pixels are decoded later, when they are used.

    Raises:
        ImageError: empty, not an image, its header damaged, or of far too many pixels or bytes.
    """
    if not content:
        raise ImageError(f"{name}: the picture is empty (0 bytes); get the dataset again")
    if len(content) > ENCODED_LIMIT:
        raise ImageError(f"{name}: over {ENCODED_LIMIT:,} bytes, too many for a picture; make it smaller")
    with raise_image_errors(name, "dataset"):
        return Image.open(io.BytesIO(content))


def _check_index(index: int, length: int) -> int:
    """Return an index from 0 on; refuse one beyond the length."""
    if not -length <= index < length:
        raise IndexError(index)
    return index % length
