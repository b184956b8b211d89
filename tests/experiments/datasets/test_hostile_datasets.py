"""Data as people have them: each case is read right, or refused in one line, or has a row with its error."""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from helpers.platforms import linux_only
from helpers.small_evaluations import PREPROCESS
from shapleycam.errors import DatasetWarning, ImageError, OptionError
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.experiments.decoding import decode_image
from shapleycam.experiments.rows import to_table

pytestmark = linux_only
CAFE = b"caf\xe9.png".decode(errors="surrogateescape")  # os.fsdecode fails on Windows when this is imported
"""A file name in Latin-1."""


def png(value: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(file, "PNG")
    return file.getvalue()


@dataclass
class Case:
    """What a maker leaves in a folder, and what becomes of it.

    `names`, `labels` and the errors of unreadable images by name are what is expected, or the message of a refusal.
    `warning` is the text of a warning beside that.
    """

    make: Callable[[Path], object]
    names: tuple[str, ...] = ()
    labels: tuple[Any, ...] | None = None
    errors: dict[str, str] = field(default_factory=dict)
    refused: str | None = None
    warning: str | None = None


def files(folder: Path, *names: str, content: bytes | None = None) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png() if content is None else content)
    return folder


def in_folder(*names: str, then: Callable[[Path], object] = lambda folder: None) -> Callable[[Path], object]:
    def make(folder: Path) -> Path:
        files(folder, *names)
        then(folder)
        return folder

    return make


def csv(text: str | bytes, *names: str, name: str = "list.csv") -> Callable[[Path], object]:
    def make(folder: Path) -> Path:
        files(folder, *names)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder / name

    return make


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w", name: str = "s.tar", **options: Any):
    def make(folder: Path) -> Path:
        with tarfile.open(folder / name, mode, **options) as archive:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    archive.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
        return folder / name

    return make


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], name: str = "photos.zip", change=None):
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w") as archive:
            for member, content in members:
                archive.writestr(member, content)
        if change is not None:
            (folder / name).write_bytes(change((folder / name).read_bytes()))
        return folder / name

    return make


def zip64(*names: str) -> Callable[[Path], object]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "photos.zip", "w", zipfile.ZIP_BZIP2) as archive:
            for name in names:
                with archive.open(name, "w", force_zip64=True) as member:
                    member.write(png())
        return folder / "photos.zip"

    return make


def parquet(name: str = "p.parquet", /, schema: pa.Schema | None = None, **columns: Any) -> Callable[[Path], object]:
    def make(folder: Path) -> Path:
        pq.write_table(pa.table(columns, schema=schema), folder / name)
        return folder / name

    return make


def all_of(*makers: Callable[[Path], object], named: str = "") -> Callable[[Path], object]:
    def make(folder: Path) -> str:
        for maker in makers:
            maker(folder)
        return f"{folder}/{named}" if named else str(folder)

    return make


def zip_info(name: str, **attributes: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info


def bind_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def encrypted(content: bytes) -> bytes:
    """Set the flag of encryption in the headers of an archive's first member."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = changed.index(mark) + offset
        (flags,) = struct.unpack_from("<H", changed, place)
        struct.pack_into("<H", changed, place, flags | 1)
    return bytes(changed)


def declares(size: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        struct.pack_into("<I", changed, changed.index(b"PK\x01\x02") + 24, size)
        return bytes(changed)

    return change


STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
CLASSES = (
    '{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["ant", "bee"], "_type": "ClassLabel"}}}}'
)
HUGGING_FACE = pa.schema({"image": STRUCT, "label": pa.int64()}, metadata={"huggingface": CLASSES})


def exported(*labels: int, name: str = "p.parquet") -> Callable[[Path], object]:
    images = [{"bytes": png(number), "path": f"{number}.png"} for number in range(len(labels))]
    return parquet(name, HUGGING_FACE, image=images, label=list(labels))


LONG = "x" * 251 + ".png"
CASES: dict[str, Case] = {
    # file names
    "bytes that are not UTF-8": Case(in_folder(CAFE, "café.png"), (r"café.png", r"caf\xe9.png")),
    "bytes that are not UTF-8 in the name of a class": Case(
        in_folder(f"{CAFE}/1.png", "bee/2.png"), ("bee/2.png", r"caf\xe9.png/1.png"), ("bee", r"caf\xe9.png")
    ),
    "the spelling of such a name is another file's name": Case(
        in_folder(CAFE, r"caf\xe9.png"), (r"caf\x5cxe9.png", r"caf\xe9.png")
    ),
    "line breaks and escapes of terminals": Case(
        in_folder("a\nb.png", "\x1b[31mred.png", "\u202egnp.jpg.png"),
        (r"\x1b[31mred.png", r"a\x0ab.png", r"\u202egnp.jpg.png"),
    ),
    "a list of names that are not UTF-8": Case(
        csv(b"path,label\ncaf\xe9.png,caf\xe9\n", CAFE), (r"caf\xe9.png",), (r"caf\xe9",)
    ),
    "a shard of names that are not UTF-8": Case(tar((CAFE, png())), (r"s.tar/caf\xe9.png",)),
    "a list of a file whose name is very long": Case(
        csv(f"path\n{'x' * 300}.png\n"), ("x" * 300 + ".png",), errors={"x" * 300 + ".png": "cannot be read (File name"}
    ),
    "a list of a path that is very long": Case(
        csv("path\n" + "x/" * 3000 + "a.png\n"), ("x/" * 3000 + "a.png",), errors={"x/" * 3000 + "a.png": "cannot be"}
    ),
    "the longest name": Case(in_folder(LONG), (LONG,)),
    # folders
    "a link to itself": Case(
        in_folder("a.png", then=lambda f: (f / "loop.png").symlink_to("loop.png")),
        ("a.png", "loop.png"),
        errors={"loop.png": "cannot be read (Too many levels of symbolic links)"},
    ),
    "a link to itself that is no picture": Case(
        in_folder("a.png", then=lambda f: (f / "loop").symlink_to("loop")), ("a.png",)
    ),
    "a link to nothing": Case(
        in_folder("a.png", then=lambda f: (f / "b.png").symlink_to("gone")),
        ("a.png", "b.png"),
        errors={"b.png": "no such file"},
    ),
    "folders that link to each other": Case(
        in_folder(
            *(f"{number}/a.png" for number in range(9)),
            then=lambda f: [(f / f"{a}/to{b}").symlink_to(f / str(b)) for a in range(9) for b in range(9)],
        ),
        refused="links lead to this folder in over 100 ways",
    ),
    "a pipe": Case(
        in_folder("a.png", then=lambda f: os.mkfifo(f / "b.png")),
        ("a.png", "b.png"),
        errors={"b.png": "cannot be read (a named pipe, no regular file)"},
    ),
    "a link to a pipe": Case(
        in_folder("a.png", then=lambda f: (os.mkfifo(f / "pipe"), (f / "b.png").symlink_to("pipe"))),
        ("a.png", "b.png"),
        errors={"b.png": "cannot be read (a named pipe, no regular file)"},
    ),
    "a socket": Case(
        in_folder("a.png", then=lambda f: bind_socket(f / "b.png")),
        ("a.png", "b.png"),
        errors={"b.png": "cannot be read (a socket, no regular file)"},
    ),
    "a link to a device": Case(
        in_folder("a.png", then=lambda f: (f / "b.png").symlink_to("/dev/zero")),
        ("a.png", "b.png"),
        errors={"b.png": "cannot be read (a device, no regular file)"},
    ),
    "an empty file": Case(
        in_folder("a.png", then=lambda f: (f / "b.png").touch()),
        ("a.png", "b.png"),
        errors={"b.png": "the file is empty (0 bytes)"},
    ),
    "a folder called like a picture": Case(
        in_folder("a.png", "b.png/c.png"), ("a.png", "b.png/c.png"), (None, "b.png")
    ),
    "what macOS and Windows write": Case(
        in_folder("a.png", "._a.png", "__MACOSX/._x.png", "__MACOSX/b.png", ".DS_Store", "Thumbs.db", "desktop.ini"),
        ("a.png",),
    ),
    "hidden photographs": Case(
        in_folder("a.png", ".b.png", ".thumbnails/c.png", ".git/config"),
        ("a.png",),
        warning=r"2 hidden photographs left out \(\.b\.png, …\)",
    ),
    "hidden photographs alone": Case(in_folder(".b.png"), refused=r"a folder without pictures that is not hidden"),
    "photographs of a telephone": Case(
        in_folder("a.JPEG", "b.HEIC", then=lambda f: (f / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic")),
        ("a.JPEG", "b.HEIC"),
        errors={"b.HEIC": "not an image in a format that Pillow reads; convert it"},
    ),
    # lists
    "a NUL in a path": Case(csv("path\na\0b.png\n"), refused="line 2 has a path with a NUL character"),
    "a URL in a list": Case(
        csv("path\nhttps://example.org/a.png\n"), refused="line 2 is the URL https://example.org/a"
    ),
    "a list of a folder": Case(
        csv("path\nd.png\n", "d.png/x.png"), ("d.png",), errors={"d.png": "a folder, where a picture was expected"}
    ),
    "a list of a device": Case(
        csv("path\n/dev/zero\n"), ("zero",), errors={"zero": "/dev/zero: cannot be read (a device, no regular file)"}
    ),
    "an absolute path to nothing": Case(
        csv("path\n/no/such.png\n"), ("such.png",), errors={"such.png": "/no/such.png: no such file"}
    ),
    "a path with a line break": Case(csv('path,label\n"a\nb.png",3\n', "a\nb.png"), (r"a\x0ab.png",), (3,)),
    "paths of Windows": Case(csv("path\nin\\a.png\n", "in/a.png"), ("in/a.png",)),
    "semicolons and a byte order mark": Case(csv("\ufeffpath;label\na,1.png;2\n", "a,1.png"), ("a,1.png",), (2,)),
    "tabs in a CSV": Case(csv("label\tpath\n2\ta.png\n", "a.png"), ("a.png",), (2,)),
    "UTF-16 of Excel": Case(csv("path\tlabel\r\nä.png\tcat\r\n".encode("utf-16"), "ä.png"), ("ä.png",), ("cat",)),
    "UTF-16 that is damaged": Case(csv(b"\xff\xfep\0a\0t\0h\0\n\0\x00\xd8a"), refused="not the utf-16-le"),
    "a separator that Excel is told": Case(csv("sep=;\r\npath;label\r\na.png;2\r\n", "a.png"), ("a.png",), (2,)),
    "code page 1252 of a file in UTF-8": Case(
        csv(b"path\ncaf\xe9.png\n", "café.png"), refused=r"line 2 is not UTF-8 \(caf\\xe9\.png\)"
    ),
    "a label in code page 1252": Case(
        csv(b"path,label\na.png,caf\xe9\n", "a.png"), refused=r"line 2 is not UTF-8 \(caf"
    ),
    "headers with spaces, capitals and quotes": Case(
        csv('"Image Path", " Label "\na.png, "cat"\n', "a.png"), ("a.png",), ("cat",)
    ),
    "headers of pandas": Case(
        csv(",file_name,class_id\n0,a.png,2.0\n1,b.png,\n", "a.png", "b.png"), ("a.png", "b.png"), (2, None)
    ),
    "a header that might be a label": Case(
        csv("path,breed\na.png,2\n", "a.png"),
        ("a.png",),
        (None,),
        warning="no labels are read, since none of the columns breed",
    ),
    "two columns of labels": Case(
        csv("path,class,label\na.png,cat,2\n", "a.png"),
        ("a.png",),
        (2,),
        warning="labels are those of column 'label', not of class",
    ),
    "one column twice": Case(csv("path,label,Label\na.png,1,2\n"), refused="several columns are called 'label'"),
    "a comma that is not quoted": Case(
        csv("path,label\na,b.png,2\n"), refused="line 2 has 3 cells, and the first line 2"
    ),
    "a quote that is not closed": Case(csv('path,label\n"a.png,2\n'), refused="cannot be read as CSV"),
    "empty lines": Case(csv("\npath,label\n\na.png,2\n,\n\n", "a.png"), ("a.png",), (2,)),
    "only a header": Case(csv("path,label\n"), refused="the list has no rows"),
    "rows that are there twice": Case(
        csv("path\na.png\n./a.png\n"), refused=r"a\.png is listed twice \(line 2 and line 3\)"
    ),
    "a missing number": Case(
        csv("path,label\na.png,1.0\nb.png,NaN\n", "a.png", "b.png"), ("a.png", "b.png"), (1, None)
    ),
    "half a class": Case(csv("path,label\na.png,1.5\n"), refused=r"holds the label 1\.5; expected whole numbers"),
    "a huge class": Case(csv("path,label\na.png,1\nb.png,99999999999999999999\n"), refused="holds the label 9{20};"),
    "numbers and names": Case(
        csv("path,label\na.png,1\nb.png,cat\n", "a.png", "b.png"), ("a.png", "b.png"), ("1", "cat")
    ),
    "a list that is a pipe": Case(
        lambda f: (os.mkfifo(f / "list.csv"), f / "list.csv")[1],
        refused=r"cannot be read \(a named pipe, no regular file\)",
    ),
    "a Parquet list with gaps": Case(
        parquet(File=["a.png", "b.png"], label=[1.0, float("nan")]),
        ("a.png", "b.png"),
        (1, None),
        errors={"a.png": "no such file", "b.png": "no such file"},
    ),
    "a Parquet list of pandas' categories": Case(
        parquet(path=["a.png"], label=pa.array(["cat"]).dictionary_encode()),
        ("a.png",),
        ("cat",),
        errors={"a.png": "no such"},
    ),
    # shards
    "keys with dots, spaces and other scripts": Case(
        tar(("./a.b/ü 1.PNG", png()), ("./a.b/ü 1.cls", b"3")), ("s.tar/a.b/ü 1.png",), (3,)
    ),
    "one key in two shards": Case(
        all_of(tar(("a.png", png()), name="0.tar"), tar(("a.png", png()), name="1.tar"), named="{0..1}.tar"),
        ("0.tar/a.png", "1.tar/a.png"),
    ),
    "a label without a picture": Case(
        tar(("a.cls", b"1"), ("b.png", png())), ("s.tar/b.png",), warning=r"1 sample left out .* \(s\.tar/a\)"
    ),
    "a hard link in a shard": Case(
        tar(("a.png", png()), link("b.png", "a.png", tarfile.LNKTYPE)), ("s.tar/a.png", "s.tar/b.png")
    ),
    "names of GNU, and headers of pax": Case(
        all_of(
            tar(("d/" * 80 + "a.png", png()), name="0.tar", format=tarfile.GNU_FORMAT),
            tar(("d/" * 80 + "ü.png", png()), name="1.tar", format=tarfile.PAX_FORMAT),
        ),
        (f"0.tar/{'d/' * 80}a.png", f"1.tar/{'d/' * 80}ü.png"),
    ),
    "shards and an archive whose own names are not UTF-8": Case(
        all_of(*(tar((CAFE, png()), name=os.fsdecode(b"s\xe9-%d.tar" % n)) for n in range(2))),
        (r"s\xe9-0.tar/caf\xe9.png", r"s\xe9-1.tar/caf\xe9.png"),
    ),
    "a shard that is compressed": Case(tar(("a.png", png()), mode="w:gz"), refused=r"not a plain \.tar"),
    "a shard called .tar.gz": Case(tar(("a.png", png()), mode="w:gz", name="s.tar.gz"), refused="a compressed archive"),
    # archives
    "folders in an archive are classes": Case(
        zipped(("photos/bee/2.png", png()), ("photos/ant/1.png", png())),
        ("photos/ant/1.png", "photos/bee/2.png"),
        ("ant", "bee"),
    ),
    "an archive without folders": Case(zipped(("a.png", png())), ("a.png",), (None,)),
    "an archive of macOS": Case(
        zipped(("a.png", png()), ("__MACOSX/._a.png", b"x"), (".hidden.png", png())),
        ("a.png",),
        warning="1 hidden photograph",
    ),
    "an archive of Windows": Case(zipped((zip_info("ant\\1.png", create_system=0), png())), ("ant/1.png",), ("ant",)),
    "UTF-8 that the archive does not declare": Case(
        zipped((zip_info("cafe.png"), png()), change=lambda content: content.replace(b"cafe", "é12".encode()[:4])),
        ("é12.png",),
    ),
    "code page 437": Case(
        zipped((zip_info("cafe.png"), png()), change=lambda content: content.replace(b"cafe", b"caf\x82")),
        ("café.png",),
    ),
    "an archive of zip64": Case(zip64("a.png", "b/c.png"), ("a.png", "b/c.png"), (None, "b")),
    "an encrypted member": Case(zipped(("a.png", png()), change=encrypted), refused=r"a\.png is encrypted"),
    "a size that is a lie": Case(
        zipped(("a.png", png()), ("b.png", png()), change=declares(3_000_000_000)),
        ("a.png", "b.png"),
        errors={"a.png": "3,000,000,000 bytes are too many"},
    ),
    "a member that leads out of the archive": Case(
        zipped(("../a.png", png())), refused=r"holds a file called '\.\./a\.png'"
    ),
    "an archive that is cut short": Case(
        zipped(("a.png", png()), change=lambda content: content[:-9]), refused="not a whole zip archive"
    ),
    "an archive without pictures": Case(zipped(("a.txt", b"x")), refused="an archive without pictures"),
    # pictures in Parquet
    "an export of Hugging Face": Case(exported(1, 0, -1), ("00000000", "00000001", "00000002"), ("bee", "ant", None)),
    "a folder of such files": Case(
        all_of(*(exported(1, name=f"train-{n:05d}-of-00002.parquet") for n in range(2))),
        ("00000000", "00000001"),
        ("bee", "bee"),
    ),
    "a folder with one of two files": Case(
        all_of(exported(1, name="train-00000-of-00002.parquet")), refused="1 of the 2 files of train are there"
    ),
    "a folder of two splits": Case(
        all_of(*(exported(1, name=f"{split}-00000-of-00001.parquet") for split in ("test", "train"))),
        refused=r"the files are of the splits test, train; name those of one, as '.*/test-\*\.parquet'",
    ),
    "a pattern of one of them": Case(
        all_of(*(exported(1, name=f"{s}-00000-of-00001.parquet") for s in ("test", "train")), named="test-*.parquet"),
        ("00000000",),
        ("bee",),
    ),
    "a plain column of bytes": Case(
        parquet(jpg=[png(), None, b"text"], label=["x", "y", None]),
        ("00000000", "00000001", "00000002"),
        ("x", "y", None),
        errors={"00000001": "no picture in column 'jpg'", "00000002": "not an image"},
    ),
    "a class without a name": Case(exported(2), refused="a row has the label 2, and 2 classes are named"),
    "two columns of pictures": Case(parquet(left=[png()], right=[png()]), refused="columns of pictures: left, right"),
    "a folder of shards and Parquet files": Case(
        all_of(tar(("a.png", png()), name="S.TAR"), exported(1)),
        refused=r"holds \.parquet and \.tar files; expected one",
    ),
    "a folder of shards in capitals": Case(all_of(tar(("a.png", png()), name="S.TAR")), ("S.TAR/a.png",)),
    # patterns
    "a pattern of photographs": Case(
        all_of(in_folder("p/ant/1.png", "p/ant/2.txt", "p/bee/3.png", "p/.x.png"), named="p/*/*.png"),
        ("ant/1.png", "bee/3.png"),
        ("ant", "bee"),
    ),
    "a pattern that finds nothing": Case(all_of(named="*.png"), refused="no such files"),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_each_case(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path)
    with expected_warning(case.warning):
        if case.refused is not None:
            assert re.search(case.refused, refusal(source))
            return
        dataset = open_dataset(source)
    assert tuple(dataset.names) == case.names
    if case.labels is not None:
        assert tuple(dataset.labels) == case.labels
    assert len(dataset.fingerprint()) == 64
    images = [decode_image(dataset, PREPROCESS, index) for index in range(len(dataset))]
    errors = {dataset.names[image.index]: image.error for image in images if image.error is not None}
    assert errors.keys() == case.errors.keys()
    assert all(text in errors[name] and "\n" not in errors[name] for name, text in case.errors.items())
    rows = [{"image": dataset.names[image.index], "message": image.error} for image in images]
    assert to_table(rows, []).column("image").to_pylist() == list(case.names)


@contextmanager
def expected_warning(text: str | None) -> Iterator[None]:
    if text is None:
        yield  # a warning of the package is an error in tests
        return
    with pytest.warns(DatasetWarning, match=text) as caught:
        yield
    assert not any("\n" in str(warning.message) for warning in caught)


def refusal(source: object) -> str:
    with pytest.raises((OptionError, ImageError)) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestPermissions:
    """Of a real user: whoever runs tests as root may read everything, and becomes nobody for a moment."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
            Path(name).chmod(0o755)
            yield files(Path(name), "a.png", "b.png", "in/c.png", "list.csv")

    @contextmanager
    def as_nobody(self) -> Iterator[None]:
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            if user == 0:
                os.seteuid(0)

    def test_a_file_is_a_row_with_its_error(self, folder):
        decode_image(open_dataset(folder), PREPROCESS, 0)  # Pillow's readers are imported by somebody who may
        (folder / "b.png").chmod(0)
        with self.as_nobody():
            dataset = open_dataset(folder)
            images = [decode_image(dataset, PREPROCESS, index) for index in range(3)]
        assert [image.error for image in images] == [
            None,
            f"{folder}/b.png: cannot be read (Permission denied); check its permissions",
            None,
        ]

    def test_a_folder_is_refused(self, folder):
        (folder / "in").chmod(0)
        with self.as_nobody():
            message = refusal(folder)
        (folder / "in").chmod(0o755)
        assert message == f"{folder}/in: the folder cannot be read (Permission denied); check its permissions"

    def test_a_list_is_refused(self, folder):
        (folder / "list.csv").chmod(0)
        with self.as_nobody():
            message = refusal(folder / "list.csv")
        assert message.startswith(f"{folder}/list.csv: cannot be read (Permission denied)")
