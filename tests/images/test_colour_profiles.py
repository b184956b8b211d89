"""Colour profiles: not applied, with a warning where browsers would show quite another picture."""

from __future__ import annotations

import io
import struct
import warnings

import pytest
from PIL import Image, ImageCms

from shapleycam.errors import ColourProfileWarning, ImageError
from shapleycam.images import open_photograph

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = (128, 128, 128)


def linear() -> bytes:
    """Return the profile of sRGB with curves that are straight lines: its one parametric curve gets the exponent 1."""
    content, place = bytearray(SRGB), SRGB.index(b"para")
    content[place + 8 : place + 10] = struct.pack(">H", 0)  # Y = X ** g
    content[place + 12 : place + 16] = struct.pack(">i", 1 << 16)
    return bytes(content)


def read(picture: Image.Image, kind: str, profile: bytes) -> tuple[object, list[str]]:
    """Return the first pixel of a picture stored with a profile, and the warnings about profiles."""
    file = io.BytesIO()
    picture.save(file, kind, icc_profile=profile)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixel = open_photograph(Image.open(io.BytesIO(file.getvalue()))).getpixel((0, 0))
    return pixel, [str(each.message) for each in caught if each.category is ColourProfileWarning]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_visible_change_is_named_with_its_size_and_samples_stay(mode):
    """Linear 128 / 255 = 0.502 is 1.055 * 0.502 ** (1 / 2.4) - 0.055 = 0.737 in sRGB, 188 of 255: 60 more."""
    picture = Image.new("RGB", (5, 4), GREY)
    pixel, (message,) = read(picture.quantize(4) if mode == "P" else picture.convert(mode), "PNG", linear())
    assert pixel == GREY
    assert message.startswith("the image: its colour profile, 'sRGB")
    assert "would change the samples by 60 of 255 on average" in message


def test_the_profile_of_the_web_itself_changes_nothing():
    assert read(Image.new("RGB", (5, 4), GREY), "PNG", SRGB) == (GREY, [])


def test_black_and_white_are_the_same_on_a_straight_line():
    picture = Image.new("RGB", (64, 32))
    picture.paste((255, 255, 255), (32, 0, 64, 32))
    assert read(picture, "PNG", linear())[1] == []


@pytest.mark.parametrize("profile", [b"no profile", SRGB[:200]])
def test_a_damaged_profile_is_ignored(profile):
    assert read(Image.new("RGB", (5, 4), GREY), "PNG", profile) == (GREY, [])


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_of_other_channels_is_ignored(mode):
    assert read(Image.new(mode, (5, 4)), "JPEG", linear())[1] == []


def test_sixteen_bits_are_read_without_the_profile():
    assert read(Image.new("I;16", (5, 4), 65535), "PNG", linear())[1] == []


def test_the_warning_names_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (5, 4), GREY).save(path, icc_profile=linear())
    with pytest.warns(ColourProfileWarning, match=f"^{path}: its colour profile"):
        open_photograph(path)


@pytest.mark.parametrize(("kind", "is_refused"), [(0, False), (1, True), (2, False), (5, True)])
def test_the_preview_in_a_raw_file_is_refused(tmp_path, kind, is_refused):
    """Bit 0 of tag 254 is "a reduced version of another picture"; bit 1 is a page, bit 2 a mask."""
    path = tmp_path / "a.dng"
    Image.new("RGB", (8, 6)).save(path, "TIFF", tiffinfo={254: kind})
    if is_refused:
        with pytest.raises(
            ImageError, match=r"a\.dng: the first picture of this TIFF, 8 x 6 pixels, is the preview of"
        ):
            open_photograph(path)
    else:
        assert open_photograph(path).size == (8, 6)
