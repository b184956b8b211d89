"""Tar shards, honest and hostile."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shapleycam.errors import DatasetWarning, ImageError, OptionError
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph


def picture(value: int = 0, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(file, kind)
    return file.getvalue()


def shard(path: Path, *files: tuple[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def refusal(source: object, kind: type[Exception] = ImageError) -> str:
    with pytest.raises(kind) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestWrittenByWebdataset:
    @pytest.fixture
    def folder(self, tmp_path):
        webdataset = pytest.importorskip("webdataset")
        for number in range(3):
            with webdataset.TarWriter(str(tmp_path / f"shard-{number:03d}.tar")) as writer:
                for row in range(2):
                    value = 40 * number + 10 * row
                    image = np.full((8, 8, 3), value, dtype=np.uint8)
                    writer.write({"__key__": f"{number}{row}", "png": image, "cls": value, "json": {"label": -1}})
        return tmp_path

    @pytest.mark.parametrize("pattern", ["", "shard-{000..002}.tar", "shard-*.tar", "shard-{000,001,002}.tar"])
    def test_every_way_of_naming_them(self, folder, pattern):
        dataset = open_dataset(f"{folder}/{pattern}" if pattern else folder)
        assert dataset.labels == (0, 10, 40, 50, 80, 90)
        assert dataset.names[:3] == ("shard-000.tar/00.png", "shard-000.tar/01.png", "shard-001.tar/10.png")
        assert [open_photograph(dataset.open(i)).getpixel((3, 3))[0] for i in (5, 0, 3)] == [90, 0, 50]

    def test_one(self, folder):
        assert open_dataset(folder / "shard-001.tar").labels == (40, 50)

    def test_braces_give_the_order(self, folder):
        assert open_dataset(f"{folder}/shard-{{002,000}}.tar").labels == (80, 90, 0, 10)

    def test_as_webdataset_itself_reads_them(self, folder):
        import webdataset

        theirs = webdataset.WebDataset(str(folder / "shard-002.tar"), shardshuffle=False).decode("pil")
        ours = open_dataset(folder / "shard-002.tar")
        for index, sample in enumerate(theirs):
            assert ours.labels[index] == sample["cls"]
            assert np.array_equal(open_photograph(ours.open(index)), sample["png"])


class TestMembers:
    def test_key_ends_at_the_first_dot_of_the_base_name(self, tmp_path):
        files = [("x.y/a.jpg", picture(1, "JPEG")), ("x.y/a.seg.png", picture()), ("x.y/a.cls", b"3")]
        dataset = open_dataset(shard(tmp_path / "s.tar", *files))
        assert (dataset.names, dataset.labels) == (("s.tar/x.y/a.jpg",), (3,))

    @pytest.mark.parametrize("kind", ["png", "bmp"])
    def test_photograph_beside_a_mask(self, tmp_path, kind):
        files = [(f"a.{kind}", picture(200, kind)), ("a.jpg", picture(100, "JPEG"))]
        dataset = open_dataset(shard(tmp_path / "s.tar", *files))
        assert dataset.names == ("s.tar/a.jpg",)
        assert open_photograph(dataset.open(0)).getpixel((0, 0)) == (100, 100, 100)

    @pytest.mark.parametrize(
        ("name", "content", "label"),
        [
            ("a.cls", b"207", 207),
            ("a.cls", b" -1\n", -1),
            ("a.cls", "naïve cat".encode(), "naïve cat"),
            ("a.cls", b"", None),
            ("a.json", b'{"label": 5, "cls": 6}', 5),
            ("a.json", b'{"cls": "dog"}', "dog"),
            ("a.json", b'{"label": null}', None),
            ("a.json", b"[1]", None),
            ("a.txt", b"a caption", None),
        ],
    )
    def test_labels(self, tmp_path, name, content, label):
        dataset = open_dataset(shard(tmp_path / "s.tar", ("a.png", picture()), (name, content)))
        assert dataset.labels == (label,)

    def test_names_and_notes_as_tar_writes_them(self, tmp_path):
        files = [("__meta__/x.png", picture()), ("./in/b.PNG", picture()), ("./in/a.png", picture())]
        assert open_dataset(shard(tmp_path / "s.tar", *files)).names == ("s.tar/in/b.png", "s.tar/in/a.png")

    def test_shards_of_one_name_are_told_apart(self, tmp_path):
        for folder in "ab":
            shard(tmp_path / folder / "s.tar", ("1.png", picture()))
        assert open_dataset(f"{tmp_path}/{{a,b}}/s.tar").names == ("a/s.tar/1.png", "b/s.tar/1.png")

    def test_long_names(self, tmp_path):
        name = "/".join(["folder" * 10] * 5) + "/a.png"
        dataset = open_dataset(shard(tmp_path / "s.tar", (name, picture(7))))
        assert dataset.names == (f"s.tar/{name}",)
        assert open_photograph(dataset.open(0)).getpixel((0, 0)) == (7, 7, 7)

    def test_damaged_picture_is_said_of_the_picture(self, tmp_path):
        dataset = open_dataset(shard(tmp_path / "s.tar", ("a.png", b"text"), ("b.png", picture())))
        with pytest.raises(ImageError) as caught:
            dataset.open(0)
        expected = "s.tar/a.png: not an image in a format that Pillow reads; convert it to PNG or JPEG"
        assert str(caught.value) == expected
        assert open_photograph(dataset.open(1)).size == (8, 8)

    def test_shard_that_goes_away_or_shrinks(self, tmp_path):
        path = shard(tmp_path / "s.tar", ("a.png", picture()))
        dataset = open_dataset(path)
        path.write_bytes(path.read_bytes()[:520])
        with pytest.raises(ImageError, match=r"a\.png is cut short; the shard was changed"):
            dataset.open(0)
        path.unlink()
        with pytest.raises(ImageError, match=r"a\.png cannot be read \(No such file"):
            dataset.open(0)


class TestDamaged:
    @pytest.mark.parametrize("keep", [700, 1024, 1536, 1600, 2048 + 300])
    def test_cut_anywhere(self, tmp_path, keep):
        """Within a member, at the end of one, within a header: the first member takes 512 + 512 bytes."""
        whole = shard(tmp_path / "s.tar", ("a.txt", b"a" * 500), ("b.png", picture() * 20)).read_bytes()
        (tmp_path / "s.tar").write_bytes(whole[:keep])
        expected = "damaged or cut short, no end-of-archive mark follows its last file; get it again"
        assert refusal(tmp_path / "s.tar") == f"{tmp_path / 's.tar'}: {expected}"

    def test_header_overwritten(self, tmp_path):
        path = shard(tmp_path / "s.tar", ("a.png", picture()), ("b.png", picture()))
        content = bytearray(path.read_bytes())
        content[1024:1124] = b"?" * 100
        path.write_bytes(content)
        assert "damaged or cut short" in refusal(path)

    @pytest.mark.parametrize("content", [b"", b"text", b"x" * 5000])
    def test_no_tar(self, tmp_path, content):
        (tmp_path / "s.tar").write_bytes(content)
        assert refusal(tmp_path / "s.tar").startswith(f"{tmp_path / 's.tar'}: not a plain .tar (")

    def test_compressed(self, tmp_path):
        with tarfile.open(tmp_path / "s.tar", "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("a.png"))
        assert "not a plain .tar (" in refusal(tmp_path / "s.tar")

    def test_missing_one_of_a_pattern(self, tmp_path):
        shard(tmp_path / "0.tar", ("a.png", picture()))
        message = refusal(f"{tmp_path}/{{0..1}}.tar")
        assert message == (
            f"{tmp_path}/1.tar: cannot be read (No such file or directory); check the path and its permissions"
        )

    def test_pattern_that_finds_nothing(self, tmp_path):
        assert "no such files" in refusal(f"{tmp_path}/*.tar", OptionError)

    @pytest.mark.parametrize(
        "braces", ["{0..999999}", "{5..2}", "{0..999}{0..999}", "{0..999}{0..999..2}", "{{},a,b,c}" * 10]
    )
    def test_pattern_of_too_many(self, tmp_path, braces):
        assert "; expected " in refusal(f"{tmp_path}/{braces}.tar", OptionError)

    def test_braces_that_are_not_closed(self, tmp_path):
        assert "braces are not in pairs" in refusal(f"{tmp_path}/{{0..1}}{{.tar", OptionError)

    def test_pattern_that_names_one_twice(self, tmp_path):
        assert "names a file twice" in refusal(f"{tmp_path}/{{a,a}}.tar", OptionError)

    def test_without_pictures(self, tmp_path):
        assert "shards without pictures" in refusal(shard(tmp_path / "s.tar", ("a.txt", b"x")))

    def test_key_twice(self, tmp_path):
        path = shard(tmp_path / "s.tar", ("a.png", picture()), ("a.png", picture()))
        assert refusal(path) == f"{path}: a.png is there twice; expected keys that are unique within a shard"

    @pytest.mark.parametrize(
        ("name", "content", "expected_message"),
        [
            ("a.json", b"{", "is not JSON"),
            ("a.json", b"[" * 500_000, "is not JSON"),
            ("a.json", b'{"label": [1]}', "states the label [1]"),
            ("a.json", b'{"label": true}', "states the label True"),
            ("a.cls", b"\xff\xfe", "is not text"),
            ("a.cls", b" " * (1 << 21), "expected a label of at most"),
        ],
    )
    def test_labels_that_cannot_be(self, tmp_path, name, content, expected_message):
        assert expected_message in refusal(shard(tmp_path / "s.tar", ("a.png", picture()), (name, content)))


class TestHostile:
    @pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "in/../../a.png"])
    def test_names_that_lead_out(self, tmp_path, name):
        path = tmp_path / "s.tar"
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(picture())
            tar.addfile(info, io.BytesIO(picture()))
        assert refusal(path).startswith(f"{path}: holds a file called {name!r}; expected plain files")

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
    def test_links_and_devices_are_not_followed(self, tmp_path, kind):
        Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
        path = tmp_path / "s.tar"
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo("link.png")
            info.type, info.linkname = kind, str(tmp_path / "secret.png")
            tar.addfile(info)
            good = tarfile.TarInfo("b.png")
            good.size = len(picture())
            tar.addfile(good, io.BytesIO(picture()))
        with pytest.warns(DatasetWarning, match=r"s\.tar: 1 picture left out .* \(link\.png\)"):
            assert open_dataset(path).names == ("s.tar/b.png",)

    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
    def test_sizes_that_are_not_there(self, tmp_path, kind):
        info = tarfile.TarInfo("a.png")
        info.type, info.size = kind, 1 << 60
        (tmp_path / "s.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
        refusal(tmp_path / "s.tar")

    def test_endless_headers_of_headers(self, tmp_path):
        info = tarfile.TarInfo("a.png")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
        (tmp_path / "s.tar").write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"x" + bytes(511)) * 5000)
        refusal(tmp_path / "s.tar")

    def test_nothing_is_written(self, tmp_path):
        path = shard(tmp_path / "s.tar", ("a.png", picture()), ("b/c.png", picture()))
        open_photograph(open_dataset(path).open(1))
        assert [entry.name for entry in tmp_path.iterdir()] == ["s.tar"]
