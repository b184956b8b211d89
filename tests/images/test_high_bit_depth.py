"""Pictures of more than 8 bits a sample: right by what their files declare, remarked on, or refused."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from shapleycam import Explainer
from shapleycam.errors import DarkPictureWarning, ImageError
from shapleycam.images import open_photograph

GREY, PALETTE = {262: 1}, {262: 3}
MIN_IS_WHITE = {262: 0}
TYPES = {"u": 1, "i": 2, "f": 3}


def tiff(values, tags=GREY, bits=None):
    """A little-endian, uncompressed TIFF of one strip, written by hand; (height, width) or (height, width, samples)."""
    values = np.asarray(values)
    samples = 1 if values.ndim == 2 else values.shape[2]
    bits = bits or values.dtype.itemsize * 8
    content = values.astype(values.dtype.newbyteorder("<")).tobytes()
    fields = {
        256: values.shape[1],
        257: values.shape[0],
        258: (bits,) * samples,
        259: 1,
        273: 8,
        277: samples,
        278: values.shape[0],
        279: len(content),
        339: (TYPES[values.dtype.kind],) * samples,
        **tags,
    }
    entries, behind = b"", 8 + len(content) + 2 + 12 * len(fields) + 4
    extra = b""
    for tag, value in sorted(fields.items()):
        numbers = value if isinstance(value, tuple) else (value,)
        kind, form = (11, "f") if any(isinstance(number, float) for number in numbers) else (4, "I")
        packed = struct.pack(f"<{len(numbers)}{form}", *numbers)
        if len(packed) > 4:
            packed, extra = struct.pack("<I", behind + len(extra)), extra + packed
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + packed
    directory = struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory + extra


def png(values, colour=0, depth=16, **chunks):
    """A PNG of samples as they lie in memory, with the chunks between its header and its pixels."""
    values = np.asarray(values, ">u2" if depth == 16 else "u1")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = values.shape[1] * 8 // min(depth, 8)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(values), depth, colour, 0, 0, 0))
    between = b"".join(chunk(kind.encode(), data) for kind, data in chunks.items())
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    return b"\x89PNG\r\n\x1a\n" + header + between + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def open_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def read_brightness(photo) -> list[int]:
    """Return the brightness of a grey image's pixels; reading it must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = open_photograph(photo)
    pixels = np.asarray(picture)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


def read_with_warning(photo) -> tuple[list[int], str]:
    with pytest.warns(DarkPictureWarning) as caught:
        picture = open_photograph(photo)
    (message,) = {str(each.message) for each in caught}
    return np.asarray(picture)[..., 0].ravel().tolist(), message


def refusal(photo) -> str:
    with pytest.raises(ImageError) as caught:
        open_photograph(photo)
    assert "\n" not in str(caught.value)
    return str(caught.value)


RAMP = np.array([[0, 257, 32768, 65535]], np.uint16)
TWELVE = np.array([[0, 16, 2048, 4095]], np.uint16)
EIGHT = [0, 1, 128, 255]


class TestDeclaredWhite:
    @pytest.mark.parametrize("tag", [281, 341], ids=["MaxSampleValue", "SMaxSampleValue"])
    @pytest.mark.parametrize("kind", [np.uint16, np.int16, np.uint32, np.int32])
    def test_tiff_of_12_bits_in_more(self, tag, kind):
        assert read_brightness(open_bytes(tiff(TWELVE.astype(kind), {**GREY, tag: 4095}))) == EIGHT

    def test_tiff_of_packed_12_bits(self):
        """Two samples in three bytes: 0xFFF and 0x800."""
        packed = np.array([[0xFF, 0xF8, 0x00]], np.uint8)
        assert read_brightness(open_bytes(tiff(packed, {**GREY, 256: 2}, bits=12))) == [255, 128]

    def test_a_largest_value_that_is_a_statistic_is_no_white(self):
        grey, message = read_with_warning(open_bytes(tiff(TWELVE // 2, {**GREY, 281: 2047 - 100})))
        assert grey == [0, 0, 4, 8]
        assert "the largest sample is 2047 of 65535" in message

    def test_32_bit_samples_with_a_white_of_255(self):
        assert read_brightness(open_bytes(tiff(np.array([EIGHT], np.uint32), {**GREY, 281: 255}))) == EIGHT

    @pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
    def test_float_tiff(self, white):
        values = np.array([[0, 0.25, 0.5, 1]], np.float32) * np.float32(white)
        assert read_brightness(open_bytes(tiff(values, {**GREY, 341: white}))) == [0, 64, 128, 255]

    def test_samples_above_the_declared_white(self):
        message = refusal(open_bytes(tiff(TWELVE + 1, {**GREY, 281: 4095})))
        assert message == (
            "the image: 16-bit grey values from 1 to 4096, and a declared white of 4095; expected values from 0 to it: "
            "convert it"
        )

    @pytest.mark.parametrize("bits", [9, 10, 12, 14])
    def test_png_that_declares_fewer_bits_and_leaves_them_as_they_are(self, bits):
        white = 2**bits - 1
        assert read_brightness(open_bytes(png([[0, white // 3, white]], sBIT=bytes([bits])))) == [0, 85, 255]

    @pytest.mark.parametrize("bits", [5, 9, 10, 12, 14])
    @pytest.mark.parametrize("way", ["shifted", "repeated", "by a product"])
    def test_png_whose_fewer_bits_are_scaled_up(self, bits, way):
        white = 2**bits - 1
        original = np.arange(min(white + 1, 200)) + white + 1 - min(white + 1, 200)
        text = [f"{int(value):0{bits}b}" for value in original]
        scaled = {
            "shifted": [int(bits.ljust(16, "0"), 2) for bits in text],
            "repeated": [int((bits * 4)[:16], 2) for bits in text],
            "by a product": [round(int(bits, 2) * 65535 / white) for bits in text],
        }[way]
        whole = np.array([scaled])
        assert read_brightness(open_bytes(png(whole, sBIT=bytes([bits])))) == np.round(whole / 257).ravel().tolist()

    def test_png_scaled_up_and_dark(self):
        """4080 is 255 of 4095, shifted; as a sample of 12 bits as it is, it would be all but white."""
        dark, _ = read_with_warning(open_bytes(png([[0, 160, 4080]], sBIT=b"\x0c")))
        assert dark == [0, 1, 16]

    def test_a_file_whose_pixels_were_read_already(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(png(TWELVE, sBIT=b"\x0c"))
        with Image.open(path) as photo:
            photo.load()
            assert read_brightness(photo) == read_brightness(path) == EIGHT

    @pytest.mark.parametrize("content", [tiff(RAMP), png(RAMP)], ids=["TIFF", "PNG"])
    def test_copies_that_have_lost_what_the_file_declares(self, content):
        photo = open_bytes(content)
        photo.load()
        for copied in (photo.copy(), pickle.loads(pickle.dumps(photo))):  # noqa: S301
            assert read_brightness(copied) == EIGHT

    def test_a_turned_picture(self, tmp_path):
        path = tmp_path / "a.tif"
        path.write_bytes(tiff(TWELVE, {**GREY, 274: 6, 281: 4095}))
        assert open_photograph(path).size == (1, 4)
        assert read_brightness(path) == EIGHT

    def test_pgm_of_any_white(self):
        assert read_brightness(open_bytes(b"P5 4 1 4095\n" + TWELVE.astype(">u2").tobytes())) == EIGHT
        assert read_brightness(open_bytes(b"P2 4 1 1000\n0 4 502 1000\n")) == EIGHT


class TestWhiteAtZero:
    def test_16_bits(self):
        assert read_brightness(open_bytes(tiff(RAMP, MIN_IS_WHITE))) == [255, 254, 127, 0]

    def test_12_bits_in_16(self):
        assert read_brightness(open_bytes(tiff(TWELVE, {**MIN_IS_WHITE, 281: 4095}))) == [255, 254, 127, 0]

    def test_8_bits(self):
        assert read_brightness(open_bytes(tiff(np.array([EIGHT], np.uint8), MIN_IS_WHITE))) == [255, 254, 127, 0]

    def test_compressed(self):
        """By libtiff, which Pillow uses for compressed files."""
        buffer = io.BytesIO()
        Image.fromarray(RAMP).save(buffer, "TIFF", compression="tiff_deflate")
        content = bytearray(buffer.getvalue())
        at = content.index(struct.pack("<HHI", 262, 3, 1))
        content[at + 8 : at + 10] = struct.pack("<H", 0)
        assert read_brightness(open_bytes(bytes(content))) == [255, 254, 127, 0]

    def test_floats(self):
        values = np.array([[0, 0.25, 1]], np.float32)
        assert read_brightness(open_bytes(tiff(values, {**MIN_IS_WHITE, 341: 1.0}))) == [255, 191, 0]


class TestSixteenBits:
    @pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
    def test_every_byte_order(self, mode):
        order = {"I;16B": ">u2", "I;16N": "=u2"}.get(mode, "<u2")
        assert read_brightness(Image.frombytes(mode, (4, 1), RAMP.astype(order).tobytes())) == EIGHT

    @pytest.mark.parametrize(
        "photo",
        [
            pytest.param(Image.fromarray, id="array"),
            pytest.param(lambda values: open_bytes(png(values)), id="PNG"),
            pytest.param(lambda values: open_bytes(tiff(values)), id="TIFF"),
            pytest.param(lambda values: open_bytes(b"P5 4 1 65535\n" + values.astype(">u2").tobytes()), id="PGM"),
        ],
    )
    def test_no_stretching_and_a_remark_where_no_sample_is_bright(self, photo):
        assert read_brightness(photo(RAMP)) == EIGHT
        assert read_brightness(photo(RAMP * 0)) == [0, 0, 0, 0]
        grey, message = read_with_warning(photo(TWELVE))
        assert grey == [0, 0, 8, 16]
        assert message == (
            "the image: the largest sample is 4095 of 65535, and the file does not declare fewer than 16 bits: read "
            "with white at 65535, thus dark; if white is 4095 (12 bits), scale it up, or declare the bits (sBIT of "
            "PNG, MaxSampleValue of TIFF)"
        )

    def test_the_remark_names_the_file(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(png(TWELVE))
        assert read_with_warning(path)[1].startswith(f"{path}: the largest sample is 4095 of 65535")

    def test_an_explanation_passes_the_remark_on(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(png(np.tile(TWELVE, (4, 1))))
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        explainer = Explainer(model, layer="0", preprocess=lambda photo: torch.ones(3, 4, 4))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            explainer.explain(path, "gradcam", target=0)
        (remarked,) = (each for each in caught if each.category is DarkPictureWarning)
        assert "the largest sample is 4095 of 65535" in str(remarked.message)
        assert remarked.filename == __file__

    def test_declared_as_whole_needs_no_remark(self):
        assert read_brightness(open_bytes(png(TWELVE, sBIT=b"\x10"))) == read_brightness(
            open_bytes(tiff(TWELVE, {**GREY, 281: 65535}))
        )

    def test_transparent_samples_are_white(self):
        assert read_brightness(open_bytes(png(RAMP, tRNS=struct.pack(">H", 257)))) == [0, 255, 128, 255]

    def test_jpeg_2000(self):
        buffer = io.BytesIO()
        Image.fromarray(np.repeat(RAMP, 4, 0)).save(buffer, "JPEG2000")
        assert read_brightness(open_bytes(buffer.getvalue()))[:4] == EIGHT


class TestIntegersOf32Bits:
    @pytest.mark.parametrize("values", [[[255] * 8] * 8, [[0, 100]], [[1, 1]]])
    @pytest.mark.parametrize("photo", [Image.fromarray, lambda values: open_bytes(tiff(values))], ids=["array", "TIFF"])
    def test_up_to_255_they_may_be_of_8_bits_or_of_16(self, photo, values):
        values = np.array(values, np.int32)
        assert refusal(photo(values)) == (
            f"the image: 32-bit grey values from {values.min()} to {values.max()}, whose white may be 255 or 65535; "
            "convert it to 8 bits (uint8) if it is 255, otherwise to 16 bits (uint16)"
        )

    def test_grey_converted_to_integers(self):
        assert "whose white may be 255 or 65535" in refusal(Image.new("L", (4, 4), 200).convert("I"))

    def test_black_is_black_whatever_is_white(self):
        assert read_brightness(Image.new("I", (2, 1), 0)) == [0, 0]

    def test_more_than_255_and_up_to_65535(self):
        assert read_brightness(Image.fromarray(RAMP.astype(np.int32))) == EIGHT
        assert read_with_warning(Image.fromarray(TWELVE.astype(np.int32)))[0] == [0, 0, 8, 16]

    @pytest.mark.parametrize(("low", "high"), [(-1, 10), (0, 70_000)])
    def test_others(self, low, high):
        expected = (
            f"the image: 32-bit grey values from {low} to {high}, whose white is not known; convert it to 8 or 16"
        )
        assert refusal(Image.fromarray(np.array([[low, high]], np.int32))).startswith(expected)

    def test_unsigned_ones_beyond_31_bits(self):
        assert "whose white is not known" in refusal(open_bytes(tiff(np.array([[0, 2**32 - 1]], np.uint32))))


class TestSignedAndFloat:
    def test_signed_16_bits(self):
        message = refusal(open_bytes(tiff(np.array([[0, 30_000]], np.int16))))
        assert message == (
            "the image: signed 16-bit grey values from 0 to 30000, whose white is not known; convert it to 8 or 16 bits"
        )

    def test_signed_8_bits(self):
        """Pillow reads -1 as 255."""
        message = refusal(open_bytes(tiff(np.array([[-1, 100]], np.int8))))
        assert message == (
            "the image: signed samples, whose white is not known; convert it to 8 or 16 bits without sign"
        )

    @pytest.mark.parametrize("values", [[[0, 0.5]], [[0, 255]], [[np.nan, 1]], [[0, np.inf]]])
    def test_floats_without_a_declared_white(self, values):
        message = refusal(Image.fromarray(np.array(values, np.float32)))
        assert message.endswith(", whose white is not known; convert it to 8 or 16 bits")

    def test_floats_that_are_not_finite_with_one(self):
        values = np.array([[0, np.nan]], np.float32)
        assert "and a declared white of 1; expected values from 0 to it" in refusal(
            open_bytes(tiff(values, {**GREY, 341: 1.0}))
        )


class TestColoursOf16Bits:
    COLOURS = np.array([[[65535, 0, 0], [0, 32896, 65535]]], np.uint16)

    @pytest.mark.parametrize(
        "photo",
        [lambda values: open_bytes(png(values, 2)), lambda values: open_bytes(tiff(values, {262: 2}))],
        ids=["PNG", "TIFF"],
    )
    def test_are_read(self, photo, recwarn):
        picture = open_photograph(photo(self.COLOURS))
        assert [picture.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 128, 255)]
        assert not recwarn.list

    @pytest.mark.parametrize(
        "photo",
        [lambda values: open_bytes(png(values, 2)), lambda values: open_bytes(tiff(values, {262: 2}))],
        ids=["PNG", "TIFF"],
    )
    def test_remark_where_none_is_bright(self, photo):
        _, message = read_with_warning(photo(self.COLOURS // 16))
        assert "the largest sample is 3855 of 65535" in message

    def test_12_declared_bits_as_they_are(self):
        expected = (
            "the image: colours whose declared white is 4095 of 65535, of which Pillow reads the upper 8 bits; convert "
            "it to 8 bits"
        )
        assert refusal(open_bytes(png(self.COLOURS // 16, 2, sBIT=b"\x0c\x0c\x0c"))) == expected
        assert refusal(open_bytes(tiff(self.COLOURS // 16, {262: 2, 281: (4095,) * 3}))) == expected

    def test_12_declared_bits_scaled_up(self, recwarn):
        assert open_photograph(open_bytes(png(self.COLOURS, 2, sBIT=b"\x0c\x0c\x0c"))).getpixel((0, 0)) == (255, 0, 0)
        assert not recwarn.list

    def test_a_transparent_colour(self):
        """Of which the lower half of the bits is lost."""
        message = refusal(open_bytes(png(self.COLOURS, 2, tRNS=struct.pack(">HHH", 65535, 0, 0))))
        assert message.startswith("the image: a transparent colour of 16 bits, which the 8 bits that Pillow reads")

    def test_alpha(self):
        grey = np.array([[[0, 65535], [0, 0]]], np.uint16)
        assert read_brightness(open_bytes(png(grey, 4))) == [0, 255]

    def test_separate_planes(self):
        """Pillow reads their bytes as samples."""
        planes = np.moveaxis(self.COLOURS, 2, 0).copy()
        tags = {
            256: 2,
            257: 1,
            262: 2,
            258: (16,) * 3,
            277: 3,
            278: 1,
            284: 2,
            339: (1,) * 3,
            273: (8, 12, 16),
            279: (4,) * 3,
        }
        message = refusal(open_bytes(tiff(planes.reshape(1, -1), tags)))
        assert message == (
            "the image: uncompressed colours of 16 bits in separate planes, which Pillow misreads; convert it to PNG "
            "or JPEG"
        )


class TestOtherKinds:
    @pytest.mark.parametrize(("lightness", "colour"), [(255, (255, 255, 255)), (0, (0, 0, 0)), (128, (119, 119, 119))])
    def test_lab_grey(self, lightness, colour):
        """L* = 50 has a luminance of 0.184, which sRGB writes as 119."""
        assert np.allclose(
            open_photograph(Image.new("LAB", (1, 1), (lightness, 128, 128))).getpixel((0, 0)), colour, atol=2
        )

    def test_lab_red_of_a_file(self, tmp_path):
        """sRGB's red under D50: L* 54.3, a* 80.8, b* 69.9."""
        Image.new("LAB", (2, 2), (138, 128 + 81, 128 + 70)).save(tmp_path / "a.tif")
        assert np.allclose(open_photograph(tmp_path / "a.tif").getpixel((0, 0)), (255, 0, 0), atol=6)

    def test_ycbcr(self, tmp_path):
        """Y = 0.299 · 255, Cb = 128 - 0.168736 · 255, Cr = 128 + 0.5 · 255: red."""
        red = Image.new("YCbCr", (8, 8), (76, 85, 255))
        assert np.allclose(open_photograph(red).getpixel((1, 1)), (255, 0, 0), atol=2)
        red.save(tmp_path / "a.tif", compression="tiff_deflate")
        assert np.allclose(open_photograph(tmp_path / "a.tif").getpixel((1, 1)), (255, 0, 0), atol=2)

    def test_hsv(self):
        assert open_photograph(Image.new("HSV", (1, 1), (0, 255, 255))).getpixel((0, 0)) == (255, 0, 0)

    @pytest.mark.parametrize(("mode", "pixel"), [("La", (0, 51)), ("RGBa", (0, 0, 0, 51)), ("PA", (0, 51))])
    def test_a_fifth_of_black_on_white(self, mode, pixel):
        assert open_photograph(Image.new(mode, (1, 1), pixel)).getpixel((0, 0)) == (204, 204, 204)

    def test_from_arrays(self):
        assert read_brightness(Image.fromarray(np.array([[True, False]]))) == [255, 0]
        assert read_brightness(Image.fromarray(np.array([EIGHT], np.uint8))) == EIGHT

    @pytest.mark.parametrize(("depth", "content"), [(4, [[0x5F]]), (2, [[0x4C]])])
    def test_transparent_grey_of_few_bits(self, depth, content):
        """Of samples of 4 bits 5 is transparent; of 2 bits 1."""
        grey = read_brightness(open_bytes(png(content, depth=depth, tRNS=bytes([0, 5 if depth == 4 else 1]))))
        assert grey == ([255, 255] if depth == 4 else [255, 0, 255, 0])

    @pytest.mark.parametrize("kind", [np.uint8, np.uint16])
    @pytest.mark.parametrize("size", [(2, 3), (3, 3)])
    def test_a_turned_tiff(self, tmp_path, kind, size):
        """Orientation 6: the first row is on the right. Pillow maps such a file with its sides exchanged."""
        stored = np.arange(size[0] * size[1]).reshape(size) * 25
        path = tmp_path / "a.tif"
        path.write_bytes(
            tiff(
                (stored * (257 if kind is np.uint16 else 1)).astype(kind),
                {**GREY, 274: 6, 281: 255 if kind is np.uint8 else 65535},
            )
        )
        assert read_brightness(path) == np.rot90(stored, -1).ravel().tolist()
        with Image.open(path) as photo:
            assert read_brightness(photo) == np.rot90(stored, -1).ravel().tolist()
            assert photo.filename == str(path)

    def test_palette_of_values_of_8_bits(self):
        """A TIFF palette has 16 bits a value; some writers fill in 8, which Pillow takes for black."""
        palette = tuple(range(256)) * 3
        message = refusal(open_bytes(tiff(np.array([[0, 200]], np.uint8), {**PALETTE, 320: palette})))
        assert message == (
            "the image: a palette whose largest value is 255 where 65535 is full, which Pillow misreads; convert it to "
            "PNG or JPEG"
        )
        full = tuple(257 * value for value in range(256)) * 3
        assert read_brightness(open_bytes(tiff(np.array([[0, 200]], np.uint8), {**PALETTE, 320: full}))) == [0, 200]


class TestAddresses:
    @pytest.mark.parametrize("address", ["https://a.org/b/c.jpg", "http://a.org/c.png?size=2", "s3://bucket/key/c.jpg"])
    def test_are_not_fetched_and_kept_whole(self, address):
        expected = f"{address}: a URL, and URLs are not fetched; download the picture, and name the file"
        assert refusal(address) == expected

    def test_a_folder_with_a_colon_is_none(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "http:").mkdir()
        Image.new("L", (1, 1), 7).save(tmp_path / "http:" / "a.png")
        assert read_brightness("http:/a.png") == [7]
