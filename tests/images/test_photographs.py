"""Reading photographs: every usual kind of file, and a one-line message for each unreadable one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.images import PIXEL_LIMIT, content_seeds, find_photographs, open_photograph

RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def save_image(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def two_coloured_image(mode: str, left, right, size: tuple[int, int] = (16, 8)) -> Image.Image:
    """Return an image with a left and a right half in two colours."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def noise(size: tuple[int, int] = (64, 48)) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def png_of_size(width: int, height: int) -> bytes:
    """Return the header of a black-and-white PNG, without pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def refusal(photo: object) -> str:
    with pytest.raises(ImageError) as caught:
        open_photograph(photo)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestKindsOfPhotographs:
    def test_rgb_is_returned_as_it_is(self, tmp_path):
        photo = noise()
        photograph = open_photograph(save_image(photo, tmp_path / "a.png"))
        assert photograph.mode == "RGB"
        assert np.array_equal(photograph, photo)

    def test_cmyk_jpeg_has_its_colours(self, tmp_path):
        ink = two_coloured_image("CMYK", (0, 255, 255, 0), (0, 0, 0, 255))  # magenta and yellow make red; key is black
        photograph = open_photograph(save_image(ink, tmp_path / "a.jpg", quality=95))
        assert photograph.mode == "RGB"
        assert np.allclose(photograph.getpixel((1, 1)), RED, atol=3)
        assert np.allclose(photograph.getpixel((14, 6)), BLACK, atol=3)

    def test_16_bit_grey_keeps_its_whole_range(self, tmp_path):
        deep = Image.fromarray(np.array([[0, 257, 32768, 65535]], dtype=np.uint16))
        assert deep.mode == "I;16"
        photograph = open_photograph(save_image(deep, tmp_path / "a.png"))
        assert [photograph.getpixel((x, 0)) for x in range(4)] == [BLACK, (1, 1, 1), (128, 128, 128), WHITE]

    def test_16_bit_grey_of_the_other_byte_order(self, tmp_path):
        deep = Image.frombytes("I;16B", (2, 1), b"\x80\x00\xff\xff")
        photograph = open_photograph(save_image(deep, tmp_path / "a.tif"))
        assert [photograph.getpixel((x, 0)) for x in range(2)] == [(128, 128, 128), WHITE]

    def test_transparent_palette_colour_becomes_white(self, tmp_path):
        palette = two_coloured_image("P", 0, 1)
        palette.putpalette([*RED, *BLUE])
        photograph = open_photograph(save_image(palette, tmp_path / "a.png", transparency=1))
        assert photograph.getpixel((1, 1)) == RED
        assert photograph.getpixel((14, 6)) == WHITE

    def test_palette_with_an_opacity_for_each_colour(self, tmp_path):
        palette = two_coloured_image("P", 0, 1)
        palette.putpalette([*BLACK, *RED])
        photograph = open_photograph(save_image(palette, tmp_path / "a.png", transparency=bytes([51, 255])))
        assert photograph.getpixel((1, 1)) == (204, 204, 204)  # a fifth of black on white
        assert photograph.getpixel((14, 6)) == RED

    def test_palette_without_transparency(self, tmp_path):
        palette = two_coloured_image("P", 0, 1)
        palette.putpalette([*RED, *BLUE])
        photograph = open_photograph(save_image(palette, tmp_path / "a.png"))
        assert (photograph.getpixel((1, 1)), photograph.getpixel((14, 6))) == (RED, BLUE)

    @pytest.mark.parametrize(
        ("mode", "solid", "faint"),
        [("RGBA", (0, 0, 0, 255), (0, 0, 0, 51)), ("LA", (0, 255), (0, 51))],
    )
    def test_transparency_is_laid_on_white(self, tmp_path, mode, solid, faint):
        photograph = open_photograph(save_image(two_coloured_image(mode, solid, faint), tmp_path / "a.png"))
        assert photograph.mode == "RGB"
        assert photograph.getpixel((1, 1)) == BLACK
        assert photograph.getpixel((14, 6)) == (204, 204, 204)

    def test_one_bit(self, tmp_path):
        photograph = open_photograph(save_image(two_coloured_image("1", 0, 1), tmp_path / "a.png"))
        assert (photograph.getpixel((1, 1)), photograph.getpixel((14, 6))) == (BLACK, WHITE)

    def test_one_pixel_wide(self, tmp_path):
        assert open_photograph(save_image(Image.new("RGB", (1, 500), RED), tmp_path / "a.png")).size == (1, 500)

    def test_animation_shows_its_first_picture(self, tmp_path):
        first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
        photograph = open_photograph(save_image(first, tmp_path / "a.gif", save_all=True, append_images=[second]))
        assert photograph.getpixel((4, 4)) == RED

    def test_a_pil_image_is_read_like_a_file(self):
        deep = Image.fromarray(np.array([[65535]], dtype=np.uint16))
        assert open_photograph(deep).getpixel((0, 0)) == WHITE

    def test_as_many_pixels_as_the_limit(self, tmp_path):
        size = (8000, PIXEL_LIMIT // 8000)
        assert open_photograph(save_image(Image.new("1", size, 1), tmp_path / "a.png")).size == size

    def test_pillows_remarks_on_metadata_are_not_passed_on(self, tmp_path, recwarn):
        path = save_image(noise(), tmp_path / "a.tif")
        data = bytearray(path.read_bytes())
        offset = struct.unpack("<I", data[4:8])[0]
        entries = struct.unpack("<H", data[offset : offset + 2])[0]
        for place in range(offset + 2, offset + 2 + 12 * entries, 12):
            if struct.unpack("<H", data[place : place + 2])[0] == 258:  # BitsPerSample
                data[place + 4 : place + 8] = struct.pack("<I", 1 << 20)  # said to be longer than the file
        path.write_bytes(data)
        assert str(path) in refusal(path)
        assert not recwarn.list


class TestOrientation:
    # What EXIF says: where the first row and the first column of the stored picture belong.
    CORNERS = {  # noqa: RUF012
        1: ("top", "left"),
        2: ("top", "right"),
        3: ("bottom", "right"),
        4: ("bottom", "left"),
        5: ("top", "left"),
        6: ("top", "right"),
        7: ("bottom", "right"),
        8: ("bottom", "left"),
    }

    @pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
    @pytest.mark.parametrize("orientation", CORNERS)
    def test_first_pixel_lands_where_exif_says(self, tmp_path, orientation, suffix):
        stored = Image.new("RGB", (32, 16), WHITE)
        stored.paste(RED, (0, 0, 8, 8))
        exif = Image.Exif()
        exif[0x0112] = orientation
        photograph = open_photograph(save_image(stored, tmp_path / f"a.{suffix}", exif=exif))

        assert photograph.size == ((32, 16) if orientation < 5 else (16, 32))
        rows, columns = {"top": 1, "bottom": photograph.height - 2}, {"left": 1, "right": photograph.width - 2}
        red = {
            (row, column)
            for row, y in rows.items()
            for column, x in columns.items()
            if np.allclose(photograph.getpixel((x, y)), RED, atol=40)
        }
        assert red == {self.CORNERS[orientation]}


class TestRefused:
    def test_missing(self, tmp_path):
        assert refusal(tmp_path / "a.jpg") == f"{tmp_path / 'a.jpg'}: no such file; check the path"

    def test_below_a_file(self, tmp_path):
        (tmp_path / "a.txt").write_text("text")
        path = tmp_path / "a.txt" / "b.jpg"
        assert refusal(path) == f"{path}: no such file; check the path"

    def test_folder(self, tmp_path):
        assert refusal(tmp_path) == f"{tmp_path}: a folder, where a picture was expected; name the files in it"

    def test_empty_file(self, tmp_path):
        path = tmp_path / "a.jpg"
        path.touch()
        assert refusal(path) == f"{path}: the file is empty (0 bytes); get the file again"

    def test_text_called_jpg(self, tmp_path):
        path = tmp_path / "a.jpg"
        path.write_text("not a photograph")
        assert refusal(path) == f"{path}: not an image in a format that Pillow reads; convert it to PNG or JPEG"

    @pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.tif", "a.bmp"])
    def test_cut_short(self, tmp_path, name):
        path = save_image(noise(), tmp_path / name)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        message = refusal(path)
        assert message.startswith(f"{path}: damaged or cut short (")
        assert "; get the file again" in message

    @pytest.mark.parametrize(
        ("name", "data"), [("a.ppm", b"P6\n8 8x\n255\n" + bytes(192)), ("a.sgi", b"\x01\xda\x00\x07" + bytes(600))]
    )
    def test_header_that_the_reader_stumbles_over(self, tmp_path, name, data):
        path = tmp_path / name
        path.write_bytes(data)
        assert refusal(path).startswith(f"{path}: damaged or cut short (")

    def test_over_the_pixel_limit(self, tmp_path):
        path = save_image(Image.new("1", (9000, 9000)), tmp_path / "a.png")
        expected = f"{path}: 9000 x 9000 is 81,000,000 pixels, over the limit of 80,000,000; make it smaller"
        assert refusal(path) == expected

    @pytest.mark.parametrize("size", [(10_000, 10_000), (30_000, 30_000)], ids=["pillow warns", "pillow refuses"])
    def test_what_pillow_calls_a_bomb(self, tmp_path, size):
        path = tmp_path / "a.png"
        path.write_bytes(png_of_size(*size))
        assert refusal(path) == f"{path}: over the limit of 80,000,000 pixels; make it smaller"

    def test_float_tiff(self, tmp_path):
        path = save_image(Image.fromarray(np.array([[0.5, 2.25]], dtype=np.float32)), tmp_path / "a.tif")
        expected = "32-bit grey values from 0.5 to 2.25, whose white is not known; convert it to 8 or 16 bits"
        assert refusal(path) == f"{path}: {expected}"

    def test_integers_beyond_16_bits(self, tmp_path):
        path = save_image(Image.fromarray(np.array([[0, 70_000]], dtype=np.int32)), tmp_path / "a.tif")
        assert "32-bit grey values from 0 to 70000" in refusal(path)

    def test_pil_image_over_the_pixel_limit(self):
        assert refusal(Image.new("1", (9000, 9000))).startswith("the image: 9000 x 9000 is 81,000,000 pixels")

    def test_pil_image_of_a_file_cut_short(self, tmp_path):
        path = save_image(noise(), tmp_path / "a.png")
        path.write_bytes(path.read_bytes()[:2000])
        with Image.open(path) as opened:
            assert refusal(opened).startswith("the image: damaged or cut short (")


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "x" * 300, "x/" * 3000 + "a.png"])
def test_names_that_no_file_can_have(name):
    message = refusal(name)
    assert "cannot be read (" in message
    message.encode()


class TestFind:
    def test_folder_with_all_that_is_below_it_in_order(self, tmp_path):
        names = ["b.jpg", "a.PNG", "deep/er/c.jpeg", "deep/a.tiff"]
        for name in [*names, "notes.txt", "deep/model.pth"]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "folder.jpg").mkdir()
        assert find_photographs([tmp_path]) == [
            tmp_path / name for name in ("a.PNG", "b.jpg", "deep/a.tiff", "deep/er/c.jpeg")
        ]

    def test_files_stay_in_the_order_given_whatever_they_are_called(self, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/m.jpg").touch()
        paths = [tmp_path / "z.jpg", tmp_path / "folder", tmp_path / "a"]
        assert find_photographs(paths) == [tmp_path / "z.jpg", tmp_path / "folder/m.jpg", tmp_path / "a"]

    def test_folder_without_pictures_is_refused(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(ImageError) as caught:
            find_photographs([tmp_path])
        expected = f"{tmp_path}: a folder without pictures; expected files such as .jpg or .png in it"
        assert str(caught.value) == expected


class TestContentSeeds:
    def test_batch_mates_do_not_matter(self, images):
        both = content_seeds(images, seed=1)
        assert content_seeds(images.flip(0), seed=1) == both[::-1]
        assert content_seeds(images[1:], seed=1) == both[1:]

    def test_memory_layout_does_not_matter(self, images):
        assert content_seeds(images.contiguous(memory_format=torch.channels_last), 1) == content_seeds(images, 1)

    def test_content_and_seed_do(self, images):
        changed = images.clone()
        changed[:, 0, 0, 0] += 1
        seeds = [*content_seeds(images, 0), *content_seeds(changed, 0), *content_seeds(images, -1)]
        assert len(set(seeds)) == 6

    def test_whole_numbers_of_any_kind_do(self, images):
        assert content_seeds(images, np.int64(3)) == content_seeds(images, torch.tensor(3)) == content_seeds(images, 3)
        assert content_seeds(images, torch.tensor([5, 6])) == content_seeds(images, np.array([5, 6])) == [5, 6]

    @pytest.mark.parametrize(
        ("seed", "message"),
        [
            (1.5, "seed is 1.5; expected a whole number, or a list of 2 of them, one for each image"),
            ("ab", "seed is 'ab'; expected a whole number, or a list of 2 of them, one for each image"),
            (None, "seed is None; expected a whole number, or a list of 2 of them, one for each image"),
            ([1, 0.5], r"seed is \[1, 0.5\]; expected a whole number, or a list of 2 of them, one for each image"),
            ([1], "seeds given: 1, images: 2; expected a whole number, or a list of 2 of them, one for each image"),
            ([1, 2, 3], "seeds given: 3, images: 2; expected a whole number, or a list of 2 of them"),
            (2**64, r"seed is 18446744073709551616; expected a number from -2\^63 to 2\^64 - 1"),
            ([0, -(2**70)], r"expected a number from -2\^63 to 2\^64 - 1"),
        ],
    )
    def test_other_seeds_are_refused(self, images, seed, message):
        with pytest.raises(OptionError, match=message):
            content_seeds(images, seed)

    def test_two_pixels_that_change_places_do(self, images):
        swapped = images.clone()
        swapped[:, 0, 0, 0], swapped[:, 0, 0, 1] = images[:, 0, 0, 1], images[:, 0, 0, 0]
        assert not set(content_seeds(swapped, 0)) & set(content_seeds(images, 0))

    def test_many_images_that_differ_in_one_number_have_seeds_of_their_own(self):
        images = torch.zeros(4000, 1, 2, 3)
        images[:, 0, 1, 2] = torch.arange(4000) / 4000
        assert len(set(content_seeds(images, 0))) == 4000

    def test_seeds_fit_a_torch_generator(self, images):
        for seed in content_seeds(images, 0):
            assert torch.Generator().manual_seed(seed).initial_seed() == seed
