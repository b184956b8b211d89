"""Pictures made to harm whoever opens them: refused in one line, or opened in the memory and time of a plain one."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.annotations.opening import open_annotations
from shapleycam.images import open_photograph


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    """Return a small PNG with further chunks behind its header."""
    content = encoded(Image.new("L", (8, 8), 90), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        open_photograph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.skipif(os.name != "posix", reason="Ghostscript's stand-in is a shell script")
class TestOtherPrograms:
    @pytest.fixture
    def trace(self, tmp_path, monkeypatch):
        """The file that a stand-in for Ghostscript leaves when it is started."""
        program, trace = tmp_path / "bin/gs", tmp_path / "it ran"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\ntouch '{trace}'\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
        return trace

    def test_the_stand_in_is_started_by_pillow(self, trace, tmp_path):
        path = write(tmp_path / "a.eps", encoded(Image.new("RGB", (8, 8)), "EPS"))
        with pytest.raises(Exception, match=r"gs|Ghostscript|exit"), Image.open(path) as image:
            image.load()
        assert trace.exists()

    @pytest.mark.parametrize("name", ["a.eps", "a.jpg"])
    def test_a_photograph_that_is_postscript(self, name, trace, tmp_path):
        path = write(tmp_path / name, encoded(Image.new("RGB", (8, 8)), "EPS"))
        message = "EPS is drawn by Ghostscript, and no other program is started; convert it to PNG or JPEG"
        assert refusal(path) == message
        with Image.open(path) as opened, pytest.raises(ImageError, match="Ghostscript"):
            open_photograph(opened)
        assert not trace.exists()

    def test_a_mask_that_is_postscript(self, trace, tmp_path):
        (tmp_path / "masks").mkdir()
        write(tmp_path / "masks/a.png", encoded(Image.new("L", (8, 8)), "EPS"))
        with pytest.raises(ImageError, match="Ghostscript"):
            open_annotations(tmp_path / "masks").regions_of("a.jpg")
        assert not trace.exists()


class TestScansOfJpeg:
    def jpeg(self, tmp_path: Path, times: int, **options) -> Path:
        """Return a file whose last scan is repeated; each repetition decodes all pixels once more."""
        content = encoded(Image.new("L", (64, 64), 90), "JPEG", progressive=True, **options)
        last = content[content.rindex(b"\xff\xda") : -2]
        return write(tmp_path / "a.jpg", content[:-2] + last * times + b"\xff\xd9")

    def test_very_many_are_refused(self, tmp_path):
        scans = self.jpeg(tmp_path, 0).read_bytes().count(b"\xff\xda")
        assert open_photograph(self.jpeg(tmp_path, 200 - scans)).size == (64, 64)
        path = self.jpeg(tmp_path, 201 - scans)
        assert refusal(path) == "a JPEG of 201 scans, over the limit of 200; convert it to PNG"

    def test_a_thumbnail_and_what_follows_the_picture_are_not_counted(self, tmp_path):
        path = self.jpeg(tmp_path, 0, exif=b"Exif\0\0" + b"\xff\xda" * 300, icc_profile=b"\xff\xda" * 300)
        path.write_bytes(path.read_bytes() + b"\xff\xda" * 300)
        assert open_photograph(path).size == (64, 64)

    def test_a_picture_that_pillow_has_opened(self, tmp_path):
        with Image.open(self.jpeg(tmp_path, 300)) as opened, pytest.raises(ImageError, match="scans"):
            open_photograph(opened)


class TestMetadata:
    def test_a_text_that_unpacks_to_very_much(self, tmp_path):
        bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100 << 20)))
        assert "MAX_TEXT_CHUNK" in refusal(write(tmp_path / "a.png", png_with(bomb)))

    def test_a_colour_profile_that_unpacks_to_very_much(self, tmp_path):
        bomb = chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(100 << 20)))
        assert "MAX_TEXT_CHUNK" in refusal(write(tmp_path / "a.png", png_with(bomb)))

    def test_broken_colour_profiles_are_not_needed(self, tmp_path):
        path = write(tmp_path / "a.jpg", encoded(Image.new("RGB", (8, 8), "red"), "JPEG", icc_profile=b"broken" * 99))
        assert open_photograph(path).size == (8, 8)

    def test_directories_of_exif_that_lead_to_themselves(self, tmp_path):
        entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 8)
        path = write(tmp_path / "a.jpg", encoded(Image.new("L", (8, 4)), "JPEG", exif=exif))
        assert open_photograph(path).size == (4, 8)

    def test_pages_of_tiff_that_lead_to_themselves(self, tmp_path):
        content = bytearray(encoded(Image.new("L", (8, 4)), "TIFF"))
        (start,) = struct.unpack("<I", content[4:8])
        (entries,) = struct.unpack("<H", content[start : start + 2])
        content[start + 2 + 12 * entries : start + 6 + 12 * entries] = content[4:8]
        assert open_photograph(write(tmp_path / "a.tif", bytes(content))).size == (8, 4)


def test_an_icon_with_a_larger_picture_than_it_says(tmp_path):
    content = bytearray(encoded(Image.new("RGB", (16, 16)), "ICO", sizes=[(16, 16)]))
    (start,) = struct.unpack("<I", content[18:22])
    large = encoded(Image.new("1", (9000, 9000)), "PNG")
    content[14:18] = struct.pack("<I", len(large))
    path = write(tmp_path / "a.ico", bytes(content[:start]) + large)
    assert "over the limit of 80,000,000" in refusal(path)


def test_many_frames_are_not_decoded(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), number % 251, np.uint8)) for number in range(500)]
    path = write(tmp_path / "a.gif", encoded(frames[3], "GIF", save_all=True, append_images=frames))
    assert open_photograph(path).getpixel((0, 0)) == (3, 3, 3)


def test_sixteen_bits_take_no_more_memory_than_eight_and_the_samples(tmp_path):
    pixels = 1500 * 1500
    path = write(tmp_path / "a.png", encoded(Image.fromarray(np.zeros((1500, 1500), np.uint16) + 40000), "PNG"))
    tracemalloc.start()
    try:
        open_photograph(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * pixels  # of numpy: 2 bytes a sample as bytes and as an array, 1 of the result; floats are 8


class TestMasks:
    def test_very_many_large_ones(self, tmp_path, monkeypatch):
        from shapleycam.experiments.datasets.annotations import base

        monkeypatch.setattr(base, "_MASK_LIMIT", 2000)
        (tmp_path / "masks").mkdir()
        values = (np.arange(32 * 32) % 5).reshape(32, 32).astype(np.uint8)
        write(tmp_path / "masks/a.png", encoded(Image.fromarray(values), "PNG"))
        with pytest.raises(ImageError, match=r"4 masks of 32 x 32 pixels .*; expected at most 2,000 pixels together"):
            open_annotations(tmp_path / "masks").regions_of("a.jpg")
