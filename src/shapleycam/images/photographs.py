"""Finding photographs by their paths, and opening them as people see them: upright, in 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageOps

from shapleycam.errors import ColourProfileWarning, DarkPictureWarning, ImageError, ShapleyCamWarning, warn
from shapleycam.images.colour_profiles import remark_on_profile
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
"""The EXIF tag that says how to rotate or mirror the photograph to make it upright."""
_ROTATED_OR_MIRRORED = range(2, 9)
Box: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""


@dataclass(frozen=True)
class Source:
    """Where one image of a batch came from.

    Attributes:
        name: the image's name in results and messages.
        photo: the photograph, or the path of its file; None if it is not known.
        box: (left, top, right, bottom) of the part that the model saw, in pixels of the upright photograph; None if it
            is not known.

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
    """Return a photograph as people see it: upright, in 8-bit RGB, with transparency on white.

    A `DarkPictureWarning` is issued if 16-bit samples may really have fewer bits, a `ColourProfileWarning` if browsers
    show other colours because of the file's colour profile.

    Raises:
        ImageError: the file is missing, a URL, empty, not an image, damaged or over a limit, or its white value is not
            known.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images import open_photograph
        >>> photograph = open_photograph(Image.new("RGBA", (4, 3), (0, 0, 0, 0)))
        >>> photograph.mode, photograph.getpixel((0, 0))
        ('RGB', (255, 255, 255))
    """
    return open_with_orientation(photo)[0]


def open_with_orientation(photo: Photo) -> tuple[Image.Image, int]:
    """Return a photograph as `open_photograph` does, and the EXIF orientation of its file (1 for upright).

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
            picture, orientation, remarks = _upright_rgb(photo, "the image")
    else:
        path = Path(photo)
        _check_file(path)
        name = printable_name(str(path))
        with raise_image_errors(name), Image.open(path) as opened:
            picture, orientation, remarks = _upright_rgb(opened, name)
    for kind, remark in remarks.items():
        if remark is not None:
            warn(kind, remark)
    return picture, orientation


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image: 1 for upright, 2 to 8 for rotated or mirrored.

    Call it after the checks of size and format, because Pillow decodes a PNG to read the orientation, and before
    decoding a TIFF, because the orientation is lost then.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.images import read_orientation
        >>> read_orientation(Image.new("RGB", (4, 3)))
        1
    """
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in _ROTATED_OR_MIRRORED else 1


def find_photographs(paths: Iterable[str | Path]) -> list[Path]:
    """Return the pictures for a list of paths, in order: each file itself, and all pictures below each folder.

    Raises:
        ImageError: a folder cannot be read, or has no pictures.

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


def _upright_rgb(image: Image.Image, name: str) -> tuple[Image.Image, int, dict[type[ShapleyCamWarning], str | None]]:
    """Return the image upright and in RGB, the orientation that it had, and a remark or None for each warning."""
    check_before_decoding(image, name)
    samples = read_sample_format(image)  # before the image is rotated, because the copy has no declarations of its file
    orientation = read_orientation(image)
    if image.format == "TIFF":
        _load_without_mapping(image)
    upright = ImageOps.exif_transpose(image)
    check_size(upright, name)  # again, because an icon may contain a picture of a size that it does not declare
    picture, on_white = _as_rgb(upright, samples, name)
    remarks = {DarkPictureWarning: on_white, ColourProfileWarning: remark_on_profile(upright, name)}
    return picture, orientation, remarks


def _load_without_mapping(image: Image.Image) -> None:
    """Read the pixels of a TIFF without mapping the file into memory.

    Pillow maps an uncompressed TIFF into memory by its file name, and then reads a rotated one with width and height
    exchanged. Without a file name it reads the pixels correctly.
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
        # Pillow scales these samples to 8 bits, but not the transparent value, which is still that of the file.
        image.info["transparency"] = key * 255 // (2**samples.depth - 1)
    colours = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")
