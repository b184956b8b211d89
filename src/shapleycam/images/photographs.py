"""Photographs in: found, opened, turned upright, made RGB; and what identifies their content."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from jaxtyping import Float
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from shapleycam.errors import DarkPictureWarning, ImageError, warn
from shapleycam.images.high_bit_depth import check_deep_colours, from_deep_grey
from shapleycam.images.samples import Samples, samples_of
from shapleycam.urls import url_of

PIXEL_LIMIT = 80_000_000
"""Pictures of more pixels than this are refused (below the size at which Pillow itself suspects a bomb)."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".jp2", ".avif"}
)
"""What counts as a picture when a folder is searched; a file named by the user is opened whatever it is called."""

Photo: TypeAlias = "str | Path | Image.Image"
Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True)
class Source:
    """Where one image of a batch came from: its name, the photograph, and the box of it that the model saw.

    `box` is (left, top, right, bottom) in pixels of the upright photograph, None where it is not known.
    """

    name: str
    photo: Path | Image.Image | None = None
    box: Box | None = None


def open_photograph(photo: Photo) -> Image.Image:
    """Open a photograph as people see it: upright, 8-bit RGB, transparency on white.

    Warns (`DarkPictureWarning`) where 16-bit samples may be meant as fewer bits.

    Raises:
        ImageError: missing, a URL, empty, not an image, damaged, over `PIXEL_LIMIT`, or without a known brightness.
    """
    if isinstance(photo, Image.Image):
        with _reading("the image"):
            picture, remark = _upright_rgb(photo, "the image")
    else:
        path = Path(photo)
        _check_file(path)
        with _reading(str(path)), Image.open(path) as opened:
            picture, remark = _upright_rgb(opened, str(path))
    if remark is not None:
        warn(DarkPictureWarning, remark)
    return picture


def find_photographs(paths: Iterable[str | Path]) -> list[Path]:
    """The pictures that these paths name, in order: a file as it is, a folder with all that is below it.

    Raises:
        ImageError: a folder without pictures.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise ImageError(f"{path}: a folder without pictures; expected files such as .jpg or .png in it")
        found.extend(inside)
    return found


Seed: TypeAlias = "int | Sequence[int]"
"""The user's seed, which counts with each image's content; or one for each image, in place of both."""


def content_seeds(images: Float[Tensor, "b *shape"], seed: Seed) -> list[int]:
    """One seed an image, from its preprocessed content and the user's seed, so that batch mates do not matter.

    Seeds that are one for each image are these seeds themselves.
    """
    if not isinstance(seed, int):
        return list(seed)
    raw = images.detach().float().cpu().contiguous().numpy()
    keys = (hashlib.sha256(seed.to_bytes(16, "little", signed=True) + image.tobytes()) for image in raw)
    return [int.from_bytes(key.digest()[:8], "little") >> 1 for key in keys]


def _check_file(path: Path) -> None:
    if (url := url_of(path)) is not None:
        raise ImageError(f"{url}: a URL, and URLs are not fetched; download the picture, and name the file")
    if path.is_dir():
        raise ImageError(f"{path}: a folder, where a picture was expected; name the files in it")
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if size == 0:
        raise ImageError(f"{path}: the file is empty (0 bytes); get the file again")


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What Pillow raises as one line about the picture; what it remarks about metadata is not passed on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ImageError(f"{name}: over the limit of {PIXEL_LIMIT:,} pixels; make it smaller") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not an image in a format that Pillow reads; convert it to PNG or JPEG") from None
    except PermissionError as error:
        raise ImageError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None
    except Exception as error:  # its readers raise whatever they stumble over in a damaged file
        reason = str(error) or type(error).__name__
        raise ImageError(
            f"{name}: damaged or cut short ({reason}); get the file again, or convert it with a program that shows it"
        ) from error


def _upright_rgb(image: Image.Image, name: str) -> tuple[Image.Image, str | None]:
    """Return the image as RGB, and a remark on its white or None."""
    _check_size(image, name)
    samples = samples_of(image)  # which the turned copy no longer knows
    if image.format == "TIFF":
        _read_unmapped(image)
    return _as_rgb(ImageOps.exif_transpose(image), samples, name)


def _read_unmapped(image: Image.Image) -> None:
    """Read the pixels of a TIFF; mapped into memory by its name, a turned one would have its sides exchanged."""
    name = getattr(image, "filename", "")
    vars(image)["filename"] = ""
    try:
        image.load()
    finally:
        vars(image)["filename"] = name


def _check_size(image: Image.Image, name: str) -> None:
    pixels = image.width * image.height
    if pixels > PIXEL_LIMIT:
        found = f"{image.width} x {image.height} is {pixels:,} pixels"
        raise ImageError(f"{name}: {found}, over the limit of {PIXEL_LIMIT:,}; make it smaller")


def _as_rgb(image: Image.Image, samples: Samples, name: str) -> tuple[Image.Image, str | None]:
    if samples.unreadable:
        raise ImageError(f"{name}: {samples.unreadable}, which Pillow misreads; convert it to PNG or JPEG")
    if image.mode.startswith(("I", "F")):
        grey, remark = from_deep_grey(image, samples, name)
        return grey.convert("RGB"), remark
    if samples.signed:
        raise ImageError(f"{name}: signed samples, whose white is not known; convert it to 8 or 16 bits without sign")
    remark = check_deep_colours(image, samples, name) if samples.depth == 16 else None
    if "transparency" in image.info or image.mode in {"RGBA", "LA", "PA", "RGBa", "La"}:
        return _on_white(image, samples), remark
    return image.convert("RGB"), remark


def _on_white(image: Image.Image, samples: Samples) -> Image.Image:
    key = image.info.get("transparency")
    if samples.depth in {2, 4} and isinstance(key, int) and key < 2**samples.depth and image.mode == "L":
        # Pillow widens these samples to 8 bits, and leaves the transparent one as it is in the file.
        image.info["transparency"] = key * 255 // (2**samples.depth - 1)
    colours = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    return Image.alpha_composite(white, colours).convert("RGB")
