"""Errors that Pillow raises while it reads a picture, as messages of one line: the only place for these words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

from PIL import Image, UnidentifiedImageError

from shapleycam.errors import ImageError
from shapleycam.warning_filters import ignoring_warnings_of
from shapleycam.wording import on_one_line

PIXEL_LIMIT = 80_000_000
"""Pictures of more pixels than this are refused (below the size at which Pillow itself suspects a bomb)."""

Origin: TypeAlias = Literal["file", "dataset", "upload"]
"""Where a picture is from, which decides what its owner can do about an error."""


class _Words(NamedTuple):
    """What is said of a picture of an unknown format, of one with too many pixels, and of a damaged one."""

    unknown_format: str
    too_large: str
    damaged: str


_TOO_LARGE = f"over the limit of {PIXEL_LIMIT:,} pixels; make it smaller"
_UNKNOWN_FORMAT = "not an image in a format that Pillow reads; convert it to PNG or JPEG"
_WORDS: dict[Origin, _Words] = {
    "file": _Words(
        _UNKNOWN_FORMAT,
        _TOO_LARGE,
        "damaged or cut short ({}); get the file again, or convert it with a program that shows it",
    ),
    "dataset": _Words(_UNKNOWN_FORMAT, _TOO_LARGE, "damaged ({}); get the dataset again"),
    "upload": _Words(
        "not a photograph in a known format; send a JPEG, PNG or WebP",
        "far too many pixels; make it smaller",
        "damaged or cut short ({}); get the file again",
    ),
}


_PILLOW_WARNINGS = ignoring_warnings_of(r"PIL(?:\.|$)", raised=Image.DecompressionBombWarning)


@contextmanager
def raise_image_errors(name: str, origin: Origin = "file") -> Iterator[None]:
    """Turn what Pillow raises inside the context into an `ImageError` of one line that begins with `name`.

    Pillow's warnings about metadata are not passed on; its warning of a decompression bomb is an error.

    Raises:
        ImageError: Pillow cannot read the picture; an `ImageError` raised inside passes unchanged.

    Examples:
        >>> import io
        >>> from PIL import Image
        >>> from shapleycam.errors import ImageError
        >>> from shapleycam.images import raise_image_errors
        >>> try:
        ...     with raise_image_errors("cat.jpg"):
        ...         Image.open(io.BytesIO(b"no picture"))
        ... except ImageError as error:
        ...     print(error)
        cat.jpg: not an image in a format that Pillow reads; convert it to PNG or JPEG
    """
    words = _WORDS[origin]
    try:
        with _PILLOW_WARNINGS.hold():
            yield
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError(f"{name}: {words.too_large}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: {words.unknown_format}") from None
    except PermissionError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None
    except Exception as error:  # Pillow's readers raise errors of any type on a damaged file
        raise ImageError(f"{name}: {words.damaged.format(on_one_line(error))}") from error
