"""Annotations of the three kinds, real and hostile."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.annotations.opening import open_annotations
from shapleycam.experiments.datasets.regions import masks_of


def write_text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def voc(*objects: tuple[str, int, int, int, int], size: tuple[int, int] | None = (10, 8)) -> str:
    """An XML file as VOC's, each object with its first and last pixel, counted from 1."""
    stated = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    things = "".join(
        f"<object><name>{name}</name><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        f"<bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in objects
    )
    return f"<annotation><filename>x.jpg</filename>{stated}{things}</annotation>"


def read_regions(path: Path, name: str | None) -> object:
    annotations = open_annotations(path)
    return None if name is None else annotations.regions_of(name)


def refusal(path: Path, name: str | None = None) -> str:
    with pytest.raises((ImageError, OptionError)) as caught:
        read_regions(path, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestMatching:
    def test_by_stem_whatever_the_folders_and_suffixes(self, tmp_path):
        write_text(tmp_path / "n01440764/ILSVRC2012_val_00000293.xml", voc(("n01440764", 1, 1, 2, 2)))
        annotations = open_annotations(tmp_path)
        for name in ("val/ILSVRC2012_val_00000293.JPEG", "s.tar/ILSVRC2012_val_00000293.jpg"):
            assert annotations.regions_of(name)[0].label == "n01440764"
        assert annotations.regions_of("ILSVRC2012_val_00000294.JPEG") is None

    def test_whole_names_go_before_stems(self, tmp_path):
        for name in ("cat", "dog"):
            write_text(tmp_path / name / "1.xml", voc((name, 1, 1, 2, 2)))
        assert open_annotations(tmp_path).regions_of("dog/1.jpg")[0].label == "dog"

    def test_ambiguous_stem(self, tmp_path):
        for name in ("cat", "dog"):
            write_text(tmp_path / name / "1.xml", voc())
        expected = "1.jpg: 2 annotations are called '1'; name the photographs and the annotations alike, with their"
        assert refusal(tmp_path, "1.jpg") == f"{expected} sub-folders, each once"

    def test_stems_with_dots(self, tmp_path):
        write_text(tmp_path / "a.b.xml", voc())
        assert open_annotations(tmp_path).regions_of("a.b.jpg") == []
        assert open_annotations(tmp_path).regions_of("a.jpg") is None

    def test_kinds(self, tmp_path):
        assert refusal(tmp_path / "none") == (
            f"{tmp_path / 'none'}: no such file or folder; expected a folder of .xml or of .png masks, or a COCO .json"
        )
        expected = "; expected one kind, name the sub-folder that holds it"
        assert refusal(tmp_path) == f"{tmp_path}: neither .xml nor .png files in the folder{expected}"
        write_text(tmp_path / "Annotations/a.xml", voc())
        write_text(tmp_path / "SegmentationClass/a.png", "")
        assert refusal(tmp_path) == f"{tmp_path}: both .xml and .png files in the folder{expected}"
        assert open_annotations(tmp_path / "Annotations").regions_of("a.jpg") == []
        assert "a file that is not .json" in refusal(tmp_path / "Annotations/a.xml")

    def test_unreadable_folder(self, tmp_path, monkeypatch):
        write_text(tmp_path / "a.xml", voc())
        (tmp_path / "closed").mkdir()
        scan = os.scandir

        def guarded(path):
            if Path(path) == tmp_path / "closed":
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", guarded)
        expected = f"{tmp_path / 'closed'}: the folder cannot be read (Permission denied); check its permissions"
        assert refusal(tmp_path) == expected


class TestVoc:
    def test_pixels_from_one_become_edges(self, tmp_path):
        """Pixels 3 to 5 in x and 2 to 2 in y lie between the edges 2, 5 and 1, 2."""
        write_text(tmp_path / "a.xml", voc(("dog", 3, 2, 5, 2)))
        (region,) = open_annotations(tmp_path).regions_of("a.jpg")
        assert (region.label, region.box, region.mask, region.size) == ("dog", (2, 1, 5, 2), None, (10, 8))
        pixels = masks_of([region], (0, 0, 10, 8), (10, 8), (8, 10)).any(0).nonzero().tolist()
        assert pixels == [[1, 2], [1, 3], [1, 4]]

    def test_whole_photograph(self, tmp_path):
        write_text(tmp_path / "a.xml", voc(("dog", 1, 1, 10, 8)))
        assert masks_of(open_annotations(tmp_path).regions_of("a.jpg"), (0, 0, 10, 8), (10, 8), (8, 10)).any(0).all()

    @pytest.mark.parametrize("size", [None, (0, 0)])
    def test_size_not_stated(self, tmp_path, size):
        write_text(tmp_path / "a.xml", voc(("dog", 1, 1, 2, 2), ("cat", 1, 1, 1, 1), size=size))
        assert [(region.label, region.size) for region in open_annotations(tmp_path).regions_of("a")] == [
            ("dog", None),
            ("cat", None),
        ]

    def test_fractions(self, tmp_path):
        text = voc(("dog", 1, 1, 2, 2)).replace("<xmin>1</xmin><ymin>", "<xmin> 1.5 </xmin><ymin>")
        write_text(tmp_path / "a.xml", text)
        assert open_annotations(tmp_path).regions_of("a")[0].box == (0.5, 0, 2, 2)

    @pytest.mark.parametrize(
        ("old", "new", "expected_message"),
        [
            ("<xmax>4</xmax>", "", "<object> has None as bndbox/xmax; expected a number"),
            (">4<", ">four<", "<object> has 'four' as bndbox/xmax; expected a number"),
            (">4<", ">nan<", "<object> has 'nan' as bndbox/xmax; expected a number"),
            (">4<", ">1e999<", "<object> has '1e999' as bndbox/xmax; expected a number"),
            (">4<", ">1<", "a box ends before it begins (xmin 3, ymin 1, xmax 1, ymax 2); correct the annotation"),
            ("</annotation>", "", "not well-formed XML (no element found"),
            ("<annotation>", "", "not well-formed XML ("),
        ],
    )
    def test_damaged(self, tmp_path, old, new, expected_message):
        path = write_text(tmp_path / "a.xml", voc(("dog", 3, 1, 4, 2)).replace(old, new))
        assert refusal(tmp_path, "a.jpg").startswith(f"{path}: {expected_message}")

    @pytest.mark.parametrize(
        "declared",
        [
            '<!DOCTYPE a [<!ENTITY x "dog"><!ENTITY y "&x;&x;&x;&x;">]>',
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE annotation SYSTEM "http://example.org/a.dtd">',
        ],
    )
    def test_entities_are_refused(self, tmp_path, declared):
        path = write_text(tmp_path / "a.xml", declared + voc(("&x;", 1, 1, 2, 2)))
        expected = "the XML declares a document type or entities; remove the declaration"
        assert refusal(tmp_path, "a.jpg") == f"{path}: {expected}"

    @pytest.mark.parametrize("encoding", ["no-such-encoding", "shift_jis"])
    def test_encodings_that_cannot_be_read(self, tmp_path, encoding):
        path = write_text(tmp_path / "a.xml", f'<?xml version="1.0" encoding="{encoding}"?>{voc()}')
        assert refusal(tmp_path, "a.jpg").startswith(f"{path}: not well-formed XML (")

    def test_far_too_large(self, tmp_path):
        path = write_text(tmp_path / "a.xml", voc() + " " * (5 << 20))
        assert refusal(tmp_path, "a.jpg").startswith(f"{path}: 5,24")

    def test_deep_nesting(self, tmp_path):
        write_text(tmp_path / "a.xml", "<annotation>" + "<a>" * 200_000 + "</a>" * 200_000 + "</annotation>")
        assert open_annotations(tmp_path).regions_of("a") == []

    def test_goes_away(self, tmp_path):
        path = write_text(tmp_path / "a.xml", voc())
        annotations = open_annotations(tmp_path)
        path.unlink()
        with pytest.raises(ImageError, match=r"a\.xml: cannot be read \(No such file"):
            annotations.regions_of("a.jpg")


def coco(*objects: dict[str, object], **changes: object) -> str:
    facts = {
        "images": [
            {"id": 7, "file_name": "000007.jpg", "width": 4, "height": 3},
            {"id": 8, "file_name": "000008.jpg", "width": 4, "height": 3},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": [
            {"id": place, "image_id": 7, "category_id": 18, **annotation} for place, annotation in enumerate(objects)
        ],
    }
    return json.dumps({**facts, **changes})


def read_single_region(path: Path, **annotation: object):
    return open_annotations(write_text(path, coco(annotation))).regions_of("val2017/000007.jpg")[0]


class TestCoco:
    def test_box(self, tmp_path):
        region = read_single_region(tmp_path / "a.json", bbox=[1, 0.5, 2, 1])
        assert (region.label, region.box, region.mask, region.size) == ("dog", (1, 0.5, 3, 1.5), None, (4, 3))

    def test_polygon(self, tmp_path):
        region = read_single_region(tmp_path / "a.json", bbox=[1, 0, 2, 2], segmentation=[[1, 0, 3, 0, 3, 2, 1, 2]])
        assert region.mask.tolist() == [[False, True, True, False]] * 2 + [[False] * 4]

    @pytest.mark.parametrize("counts", [[3, 2, 7], "327"])
    def test_run_lengths(self, tmp_path, counts):
        """3 off, 2 on, 7 off, in columns of 3: the two upper pixels of the second column. Each is one character."""
        region = read_single_region(
            tmp_path / "a.json", bbox=[1, 0, 1, 2], segmentation={"size": [3, 4], "counts": counts}
        )
        assert np.argwhere(region.mask).tolist() == [[0, 1], [1, 1]]

    def test_images_with_and_without_objects(self, tmp_path):
        annotations = open_annotations(write_text(tmp_path / "a.json", coco({"bbox": [0, 0, 1, 1]})))
        assert len(annotations.regions_of("000007.jpg")) == 1
        assert annotations.regions_of("000008.jpg") == []
        assert annotations.regions_of("000009.jpg") is None

    @pytest.mark.parametrize(
        "annotation",
        [
            {"bbox": [1, 2, 3]},
            {"bbox": "text"},
            {"bbox": [0, 0, -1, 2]},
            {"bbox": [0, 0, float("nan"), 2]},
            {"segmentation": [[1, 2]]},
            {"segmentation": {"size": [30, 40], "counts": [1200]}},
            {"segmentation": {"size": [3, 4], "counts": [11]}},
            {"segmentation": {"size": [3, 4], "counts": "~"}},
            {"segmentation": {"counts": [12]}},
            {"segmentation": 3},
            {"category_id": [1], "bbox": [0, 0, 1, 1]},
        ],
    )
    def test_damaged_annotation(self, tmp_path, annotation):
        path = write_text(tmp_path / "a.json", coco(annotation))
        message = refusal(path, "000007.jpg")
        assert message.startswith(f"{path}: an annotation of 000007.jpg is damaged (")
        assert open_annotations(path).regions_of("000008.jpg") == []

    def test_photographs_whose_names_differ_in_the_suffix_only(self, tmp_path):
        names = ("a.jpg", "a.png")
        images = [{"id": number, "file_name": name, "width": 4, "height": 3} for number, name in enumerate(names)]
        objects = [
            {"image_id": 0, "category_id": 1, "bbox": [0, 0, 1, 1]},
            {"image_id": 1, "category_id": 18, "bbox": [0, 0, 1, 1]},
        ]
        path = write_text(tmp_path / "a.json", coco(*objects, images=images))
        annotations = open_annotations(path)
        assert [annotations.regions_of(name)[0].label for name in names] == ["person", "dog"]
        assert "2 annotations are called 'a'" in refusal(path, "a.webp")

    def test_one_name_of_two_images_is_refused_for_the_photograph(self, tmp_path):
        images = [{"id": number, "file_name": "a.jpg", "width": 4, "height": 3} for number in (7, 8)]
        path = write_text(tmp_path / "a.json", coco({"bbox": [0, 0, 1, 1]}, images=images))
        assert refusal(path, "a.jpg").startswith("a.jpg: 2 annotations are called 'a.jpg'")

    @pytest.mark.parametrize("what", ["images", "categories"])
    def test_one_id_of_several_is_refused(self, tmp_path, what):
        entries = json.loads(coco())[what]
        path = write_text(tmp_path / "a.json", coco(**{what: [{**entry, "id": 7} for entry in entries]}))
        assert refusal(path) == (
            f"{path}: several {what} have the id 7 (1 such id in all); expected an id for each: number them anew, "
            "and the annotations with them"
        )

    @pytest.mark.parametrize("width", [0, -4, 1 << 40, "4", 4.0])
    def test_sizes_are_bounded(self, tmp_path, width):
        images = [{"id": 7, "file_name": "a.jpg", "width": width, "height": 3}]
        path = write_text(tmp_path / "a.json", coco({"segmentation": [[0, 0, 1, 0, 1, 1]]}, images=images))
        message = refusal(path, "a.jpg")
        too_large = "1 mask of 1099511627776 x 3 pixels on one photograph"
        assert (too_large if width == 1 << 40 else "an annotation of a.jpg is damaged") in message

    @pytest.mark.parametrize(
        ("text", "expected_message"),
        [
            ("{", "not JSON ("),
            ("[" * 300_000, "not JSON ("),
            ("[]", "not in COCO's form ("),
            ('{"images": []}', "not in COCO's form ("),
            ('{"images": [{"id": 1}], "annotations": []}', "not in COCO's form ("),
            ('{"images": [], "annotations": [{"image_id": 3}]}', "not in COCO's form ("),
        ],
    )
    def test_damaged_file(self, tmp_path, text, expected_message):
        path = write_text(tmp_path / "a.json", text)
        assert refusal(path).startswith(f"{path}: {expected_message}")


def mask(path: Path, values: object, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, dtype=np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette([value for number in range(256) for value in (number, 0, 255 - number)])
    (image.convert(mode) if mode in {"1", "RGB"} else image).save(path)
    return path


def low_depth_png(path: Path, number: int, bits: int) -> Path:
    """Write a grey PNG of one row, a pixel of `number` and one of 0."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes([0, number << (8 - bits)]))),
        (b"IEND", b""),
    ]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


class TestMasks:
    @pytest.mark.parametrize(
        ("values", "mode"), [([[0, 255]], "L"), ([[0, 255]], "1"), ([[0, 1]], "L"), ([[0, 255]], "RGB")]
    )
    def test_two_values_are_an_object(self, tmp_path, values, mode):
        mask(tmp_path / "a.png", values, mode)
        (region,) = open_annotations(tmp_path).regions_of("a.jpg")
        assert (region.label, region.box, region.size) == (None, None, (2, 1))
        assert region.mask.tolist() == [[False, True]]

    @pytest.mark.parametrize("mode", ["L", "P", "I;16"])
    def test_each_number_is_a_region_and_255_is_void(self, tmp_path, mode):
        mask(tmp_path / "a.png", [[0, 15, 255], [15, 2, 0]], mode)
        regions = open_annotations(tmp_path).regions_of("a.jpg")
        assert [region.label for region in regions] == [2, 15]
        assert regions[0].mask.tolist() == [[False] * 3, [False, True, False]]
        assert regions[1].mask.tolist() == [[False, True, False], [True, False, False]]

    @pytest.mark.parametrize(("bits", "number", "shown"), [(2, 1, 85), (4, 3, 51), (4, 14, 238)])
    def test_grey_of_few_bits_is_two_numbers(self, tmp_path, bits, number, shown):
        """Pillow reads number times 255 / (2^bits - 1), others the number itself."""
        path = low_depth_png(tmp_path / "a.png", number, bits)
        assert np.asarray(Image.open(path)).tolist() == [[shown, 0]]
        assert refusal(tmp_path, "a.jpg").startswith(f"{path}: a grey mask of {bits} bits, whose numbers programs read")

    @pytest.mark.parametrize(("bits", "number"), [(2, 3), (4, 15)])
    def test_black_and_white_of_few_bits_is_an_object(self, tmp_path, bits, number):
        low_depth_png(tmp_path / "a.png", number, bits)
        (region,) = open_annotations(tmp_path).regions_of("a.jpg")
        assert (region.label, region.mask.tolist()) == (None, [[True, False]])

    def test_turned_by_its_exif(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 3
        Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save(tmp_path / "a.png", exif=exif)
        assert "a.png: a mask with an EXIF orientation (3), which programs follow or not" in refusal(tmp_path, "a.jpg")

    def test_only_void(self, tmp_path):
        mask(tmp_path / "a.png", [[0, 255]], "P")
        assert open_annotations(tmp_path).regions_of("a.jpg") == []

    def test_one_number_of_a_palette_is_a_class(self, tmp_path):
        mask(tmp_path / "a.png", [[0, 1]], "P")
        assert [region.label for region in open_annotations(tmp_path).regions_of("a.jpg")] == [1]

    def test_empty(self, tmp_path):
        mask(tmp_path / "a.png", [[0, 0]])
        assert open_annotations(tmp_path).regions_of("a.jpg") == []
        assert open_annotations(tmp_path).regions_of("b.jpg") is None

    def test_colours(self, tmp_path):
        Image.new("RGB", (2, 2), (1, 2, 3)).save(tmp_path / "a.png")
        expected = "a mask in colours (RGB); expected grey, or numbers of a palette"
        assert refusal(tmp_path, "a.jpg") == f"{tmp_path / 'a.png'}: {expected}"

    def test_photograph(self, tmp_path):
        path = mask(tmp_path / "a.png", np.arange(400).reshape(20, 20), "I;16")
        assert refusal(tmp_path, "a.jpg") == f"{path}: 399 different values; expected a mask of at most 256"

    def test_over_the_pixel_limit(self, tmp_path):
        Image.new("1", (9000, 9000)).save(tmp_path / "a.png")
        assert "9000 x 9000 is 81,000,000 pixels, over the limit of 80,000,000" in refusal(tmp_path, "a.jpg")

    def test_cut_short(self, tmp_path):
        path = mask(tmp_path / "a.png", np.random.default_rng(0).integers(0, 99, (50, 50)))
        path.write_bytes(path.read_bytes()[:800])
        assert refusal(tmp_path, "a.jpg").startswith(f"{path}: damaged or cut short (")


def test_every_kind_survives_pickling(tmp_path):
    write_text(tmp_path / "voc/a.xml", voc(("dog", 1, 1, 2, 2)))
    mask(tmp_path / "masks/a.png", [[0, 255]])
    images = [{"id": 7, "file_name": "a.jpg", "width": 4, "height": 3}]
    write_text(tmp_path / "a.json", coco({"bbox": [0, 0, 2, 2]}, images=images))
    for path in (tmp_path / "voc", tmp_path / "masks", tmp_path / "a.json"):
        annotations = open_annotations(path)
        copy = pickle.loads(pickle.dumps(annotations))  # noqa: S301
        assert copy.origin == str(path)
        copied_regions, regions = copy.regions_of("a.jpg"), annotations.regions_of("a.jpg")
        assert [(region.label, region.box, region.size) for region in copied_regions] == [
            (region.label, region.box, region.size) for region in regions
        ]
        assert len(regions) == 1
