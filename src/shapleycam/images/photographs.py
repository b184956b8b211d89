"""Photographs: found by their paths, and opened as people see them, upright and in RGB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageOps

from shapleycam.errors import DarkPictureWarning, ImageError, warn
from shapleycam.images.folders import list_pictures
from shapleycam.images.high_bit_depth import check_deep_colours, convert_deep_grey
from shapleycam.images.limits import check_before_decoding, check_size
from shapleycam.images.pillow_errors import raise_image_errors
from shapleycam.images.sample_format import SampleFormat, read_sample_format
from shapleycam.printable import printable_name
from shapleycam.regular_files import is_folder, regular_file_status
from shapleycam.urls import url_of

Photo: TypeAlias = "str | Path | Image.Image"
_ORIENTATION = 274
"""The tag of EXIF that says how the photograph has to be turned to be upright."""
_TURNS = range(2, 9)
Box: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""


@dataclass(frozen=True)
class Source:
    """Where one image of a batch came from.

    Attributes:
        name: in results and messages.
        photo: the photograph, or the path of its file; None where it is not known.
        box: (left, top, right, bottom) of what the model saw, in pixels of the upright photograph; None where it is not
            known.

    Examples:
        >>> from pathlib import Path
        >>> from shapleycam.images import Source
        >>> Source("cat.jpg", Path("cat.jpg"), (32.0, 32.0, 480.0, 480.0)).name
        'cat.jpg'
    """

    name: str
    photo: Path | Image.Image | None = None
    box: Box | None = None


def open_photograph(photo: Photo) -> Image.Image:
    """Return a photograph as people see it: upright, 8-bit RGB, transparency on white.

    Warns (`DarkPictureWarning`) where 16-bit samples may be meant as fewer bits.

    Raises:
        ImageError: missing, a URL, empty, not an image, damaged, over a limit, or without a known brightness.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images import open_photograph
        >>> photograph = open_photograph(Image.new("RGBA", (4, 3), (0, 0, 0, 0)))
        >>> photograph.mode, photograph.getpixel((0, 0))
        ('RGB', (255, 255, 255))
    """
    return open_with_orientation(photo)[0]


def open_with_orientation(photo: Photo) -> tuple[Image.Image, int]:
    """Return a photograph as `open_photograph` does, and the EXIF orientation of its file: 1 where it is not turned.

    Raises:
        ImageError: as `open_photograph`.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images import open_with_orientation
        >>> turned = Image.new("RGB", (4, 3))
        >>> turned.getexif()[274] = 6
        >>> photograph, orientation = open_with_orientation(turned)
        >>> photograph.size, orientation
        ((3, 4), 6)
    """
    if isinstance(photo, Image.Image):
        with raise_image_errors("the image"):
            picture, orientation, remark = _upright_rgb(photo, "the image")
    else:
        path = Path(photo)
        _check_file(path)
        name = printable_name(str(path))
        with raise_image_errors(name), Image.open(path) as opened:
            picture, orientation, remark = _upright_rgb(opened, name)
    if remark is not None:
        warn(DarkPictureWarning, remark)
    return picture, orientation


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image: 1 where it is not turned, up to 8.

    Pillow decodes a PNG for it, so that its size and its format are looked at before. A TIFF has lost it once it is
    decoded.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images import read_orientation
        >>> read_orientation(Image.new("RGB", (4, 3)))
        1
    """
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in _TURNS else 1


def find_photographs(paths: Iterable[str | Path]) -> list[Path]:
    """Return the pictures that paths name, in order: a file as it is, a folder with all that is below it.

    Raises:
        ImageError: a folder that cannot be read, or has no pictures.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from shapleycam.images import find_photographs
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.png", "a.jpg", "notes.txt"):
        ...         Path(folder, name).touch()
        ...     print([path.name for path in find_photographs([folder])])
        ['a.jpg', 'b.png']
    """
    photographs: list[Path] = []
    for path in map(Path, paths):
        if is_folder(path):
            photographs += [path / picture for picture in list_pictures(path)]
        else:
            photographs.append(path)
    return photographs


def _check_file(path: Path) -> None:
    if (url := url_of(path)) is not None:
        raise ImageError(f"{url}: a URL, and URLs are not fetched; download the picture, and name the file")
    name = printable_name(str(path))
    try:
        size = regular_file_status(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"{name}: no such file; check the path") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: a folder, where a picture was expected; name the files in it") from None
    except OSError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions") from None
    if size == 0:
        raise ImageError(f"{name}: the file is empty (0 bytes); get the file again")


def _upright_rgb(image: Image.Image, name: str) -> tuple[Image.Image, int, str | None]:
    """Return the image upright and as RGB, the orientation that it had, and a remark on its white or None."""
    check_before_decoding(image, name)
    samples = read_sample_format(image)  # before the image is turned: the copy has lost its file's declarations
    orientation = read_orientation(image)
    if image.format == "TIFF":
        _load_without_mapping(image)
    upright = ImageOps.exif_transpose(image)
    check_size(upright, name)  # an icon may hold a picture of another size than it says
    picture, remark = _as_rgb(upright, samples, name)
    return picture, orientation, remark


def _load_without_mapping(image: Image.Image) -> None:
    """Read the pixels of a TIFF without mapping the file into memory.

    Pillow maps an uncompressed TIFF by its file name, and reads a turned one with its sides exchanged. Without a name
    it reads the pixels as usual.
    """
    name = getattr(image, "filename", "")
    vars(image)["filename"] = ""
    try:
        image.load()
    finally:
        vars(image)["filename"] = name


def _as_rgb(image: Image.Image, samples: SampleFormat, name: str) -> tuple[Image.Image, str | None]:
    if samples.unreadable:
        raise ImageError(f"{name}: {samples.unreadable}, which Pillow misreads; convert it to PNG or JPEG")
    if image.mode.startswith(("I", "F")):
        grey, remark = convert_deep_grey(image, samples, name)
        return grey.convert("RGB"), remark
    if samples.signed:
        raise ImageError(f"{name}: signed samples, whose white is not known; convert it to 8 or 16 bits without sign")
    remark = check_deep_colours(image, samples, name) if samples.depth == 16 else None
    if "transparency" in image.info or image.mode in {"RGBA", "LA", "PA", "RGBa", "La"}:
        return _on_white(image, samples), remark
    return image.convert("RGB"), remark


def _on_white(image: Image.Image, samples: SampleFormat) -> Image.Image:
    """Return a picture with transparency as RGB on white (docs/decisions.md, "Transparency is white")."""
    key = image.info.get("transparency")
    if samples.depth in {2, 4} and isinstance(key, int) and key < 2**samples.depth and image.mode == "L":
        # Pillow widens these samples to 8 bits, and leaves the transparent one as it is in the file.
        image.info["transparency"] = key * 255 // (2**samples.depth - 1)
    colours = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")
