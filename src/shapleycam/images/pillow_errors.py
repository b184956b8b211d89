"""Converting Pillow's errors about a picture to messages of one line; all these messages are written here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

from PIL import Image, UnidentifiedImageError

from shapleycam.errors import ImageError
from shapleycam.warning_filters import ignoring_warnings_of
from shapleycam.wording import on_one_line

PIXEL_LIMIT = 80_000_000
"""Pictures with more pixels are refused; the limit is below the size at which Pillow suspects a decompression bomb."""

Origin: TypeAlias = Literal["file", "dataset", "upload"]
"""Where a picture comes from, which decides what its owner can do about an error."""


class _Messages(NamedTuple):
    """Messages for a picture of unknown format, a picture with too many pixels, and a damaged picture."""

    unknown_format: str
    too_large: str
    damaged: str


_TOO_LARGE = f"over the limit of {PIXEL_LIMIT:,} pixels; make it smaller"
_UNKNOWN_FORMAT = "not an image in a format that Pillow reads; convert it to PNG or JPEG"
_MESSAGES: dict[Origin, _Messages] = {
    "file": _Messages(
        _UNKNOWN_FORMAT,
        _TOO_LARGE,
        "damaged or cut short ({}); get the file again, or convert it with a program that shows it",
    ),
    "dataset": _Messages(_UNKNOWN_FORMAT, _TOO_LARGE, "damaged ({}); get the dataset again"),
    "upload": _Messages(
        "not a photograph in a known format; send a JPEG, PNG or WebP",
        "far too many pixels; make it smaller",
        "damaged or cut short ({}); get the file again",
    ),
}


_PILLOW_WARNINGS = ignoring_warnings_of(r"PIL(?:\.|$)", raised=Image.DecompressionBombWarning)


@contextmanager
def raise_image_errors(name: str, origin: Origin = "file") -> Iterator[None]:
    """Convert Pillow's errors inside the context to an `ImageError` of one line that begins with `name`.

    Pillow's warnings about metadata are ignored; its warning about a decompression bomb becomes an error.

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
    messages = _MESSAGES[origin]
    try:
        with _PILLOW_WARNINGS.hold():
            yield
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError(f"{name}: {messages.too_large}") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: {messages.unknown_format}") from None
    except PermissionError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None
    except Exception as error:  # Pillow's readers raise errors of any type on a damaged file
        raise ImageError(f"{name}: {messages.damaged.format(on_one_line(error))}") from error
