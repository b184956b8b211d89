"""The contract of every kind of dataset: names, order, pickling, fingerprints, subsets and one-line errors."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torchvision
from PIL import Image

from helpers.platforms import posix_only
from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.dataset import open_encoded_image
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph

COLOURS = {"a": (255, 0, 0), "b": (0, 255, 0), "c": (0, 0, 255)}


def png(colour: tuple[int, int, int], size: tuple[int, int] = (6, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


Rows = list[tuple[str, str, bytes]]
"""The label, the stem and the content of each picture that a maker writes into a folder."""


def make_folder(where: Path, rows: Rows) -> object:
    for label, stem, content in rows:
        (where / "photos" / label).mkdir(parents=True, exist_ok=True)
        (where / "photos" / label / f"{stem}.png").write_bytes(content)
    return where / "photos"


def make_list(where: Path, rows: Rows) -> object:
    for _, stem, content in rows:
        (where / f"{stem}.png").write_bytes(content)
    table = {"path": [f"{stem}.png" for _, stem, _ in rows], "label": [label for label, _, _ in rows]}
    pl.DataFrame(table).write_csv(where / "list.csv")
    return where / "list.csv"


def make_tar(where: Path, rows: Rows) -> object:
    with tarfile.open(where / "photos.tar", "w") as tar:
        for label, stem, content in rows:
            for name, data in ((f"{stem}.png", content), (f"{stem}.cls", label.encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return where / "photos.tar"


def make_hugging_face(where: Path, rows: Rows) -> object:
    datasets = pytest.importorskip("datasets", minversion="4")  # not the folder of these tests
    names = sorted({label for label, _, _ in rows})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    columns = {
        "image": [{"bytes": content, "path": None} for _, _, content in rows],
        "label": [names.index(label) for label, _, _ in rows],
    }
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(where / "saved")
    return f"hf:{where / 'saved'}"


def make_items(where: Path, rows: Rows) -> object:
    return torchvision.datasets.ImageFolder(make_folder(where, rows))


def make_zip(where: Path, rows: Rows) -> object:
    with zipfile.ZipFile(where / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for label, stem, content in rows:
            archive.writestr(f"photos/{label}/{stem}.png", content)
    return where / "photos.zip"


def make_parquet(where: Path, rows: Rows) -> object:
    for number, (label, _, content) in enumerate(rows):
        table = pa.table({"image": [{"bytes": content, "path": None}], "label": [label]})
        pq.write_table(table, where / f"train-{number:05d}-of-{len(rows):05d}.parquet")
    return where


def make_remote(where: Path, rows: Rows) -> object:
    """A URL of fsspec's local files, which pyarrow does not know."""
    return f"local://{make_folder(where, rows)}/*/*.png"


MAKERS = [make_folder, make_list, make_tar, make_hugging_face, make_items, make_zip, make_parquet, make_remote]
Maker = Callable[[Path, Rows], object]

ROWS: Rows = [("a", "1", png(COLOURS["a"])), ("b", "2", png(COLOURS["b"])), ("c", "3", png(COLOURS["c"]))]


def make_dataset(make: Maker, folder: Path, rows: Rows = ROWS):
    folder.mkdir(exist_ok=True)
    return open_dataset(make(folder, rows))


def fingerprint_of(dataset) -> str:
    return dataset.fingerprint()


def colour_of(dataset, index: int) -> tuple[int, int, int]:
    return open_photograph(dataset.open(index)).getpixel((0, 0))


@pytest.mark.parametrize("make", MAKERS)
class TestEveryKind:
    def test_pictures_belong_to_names_and_labels(self, make, tmp_path):
        dataset = make_dataset(make, tmp_path)
        assert len(dataset) == len(dataset.names) == len(dataset.labels) == 3
        assert len(set(dataset.names)) == 3
        assert [colour_of(dataset, index) for index in range(3)] == list(COLOURS.values())
        labels = [label if isinstance(label, str) else dataset.classes[label] for label in dataset.labels]
        assert labels == ["a", "b", "c"]

    def test_names_are_relative(self, make, tmp_path):
        dataset = make_dataset(make, tmp_path)
        assert not any(name.startswith("/") or ".." in name or str(tmp_path) in name for name in dataset.names)

    def test_survives_pickling(self, make, tmp_path):
        dataset = make_dataset(make, tmp_path)
        copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301
        assert (copy.names, copy.labels, copy.fingerprint()) == (dataset.names, dataset.labels, dataset.fingerprint())
        assert colour_of(copy, 1) == COLOURS["b"]

    def test_same_data_elsewhere_have_the_same_names(self, make, tmp_path):
        dataset, copy = make_dataset(make, tmp_path / "one"), make_dataset(make, tmp_path / "other")
        assert (dataset.names, dataset.labels) == (copy.names, copy.labels)

    def test_fingerprint_changes_with_an_image_more_and_another_label(self, make, tmp_path):
        dataset = make_dataset(make, tmp_path / "one")
        more = make_dataset(make, tmp_path / "more", [*ROWS, ("c", "4", ROWS[2][2])])
        label = make_dataset(make, tmp_path / "label", [*ROWS[:2], ("b", "3", ROWS[2][2])])
        prints = {dataset.fingerprint(), more.fingerprint(), label.fingerprint()}
        assert len(prints) == 3
        assert all(len(bytes.fromhex(text)) == 32 for text in prints)

    def test_fingerprint_changes_with_the_content(self, make, tmp_path):
        dataset = make_dataset(make, tmp_path / "one")
        changed = make_dataset(make, tmp_path / "other", [*ROWS[:2], ("c", "3", png(COLOURS["c"], (60, 40)))])
        assert dataset.names == changed.names
        assert dataset.fingerprint() != changed.fingerprint()

    def test_first_keeps_what_the_whole_says(self, make, tmp_path):
        whole = make_dataset(make, tmp_path)
        first = whole.first(2)
        assert (len(first), first.origin, first.classes) == (2, whole.origin, whole.classes)
        assert (first.names, first.labels) == (whole.names[:2], whole.labels[:2])
        assert [colour_of(first, index) for index in (0, 1, -1)] == [COLOURS["a"], COLOURS["b"], COLOURS["b"]]
        assert first.fingerprint() != whole.fingerprint()
        assert whole.first(3) is whole
        with pytest.raises(IndexError):
            first.open(2)


@pytest.mark.parametrize("make", [make_folder, make_list, make_tar, make_items, make_zip, make_parquet])
def test_fingerprint_does_not_depend_on_the_place(make, tmp_path):
    assert make_dataset(make, tmp_path / "one").fingerprint() == make_dataset(make, tmp_path / "other").fingerprint()


def test_fingerprint_of_a_saved_hugging_face_folder_goes_with_it(tmp_path):
    dataset = make_dataset(make_hugging_face, tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "moved")
    assert open_dataset(f"hf:{tmp_path / 'moved/saved'}").fingerprint() == dataset.fingerprint()


def test_numbers_and_text_are_different_labels(tmp_path):
    (tmp_path / "n.csv").write_text("path,label\na.png,7\n")
    (tmp_path / "t.csv").write_text("path,label\na.png,07\n")
    numbers, text = open_dataset(tmp_path / "n.csv"), open_dataset(tmp_path / "t.csv")
    assert (numbers.labels, text.labels) == ((7,), ("07",))
    assert numbers.fingerprint() != text.fingerprint()


def test_goes_to_a_spawned_process(tmp_path):
    datasets = [
        make_dataset(make, tmp_path / make.__name__) for make in (make_tar, make_zip, make_parquet, make_remote)
    ]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for dataset in datasets:
            assert pool.apply(fingerprint_of, (dataset,)) == dataset.fingerprint()
            assert pool.apply(colour_of, (dataset, 1)) == COLOURS["b"]


FORKING = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph

def colour_of(dataset, index):
    return open_photograph(dataset.open(index)).getpixel((0, 0))

for address in sys.argv[1:]:
    dataset = open_dataset(address)
    colour_of(dataset, 0)
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
        print(list(pool.map(colour_of, repeat(dataset, 40), range(40))))
"""
"""Forks, in a process of its own: where a thread of the tests' process holds a lock, a child waits for it for ever."""


@posix_only
def test_is_read_by_forked_processes_at_once(tmp_path):
    """Files that are open when a process is forked share their position with it."""
    rows = [("a", f"{number:03d}", png((number, 0, 0))) for number in range(40)]
    makers = [make for make in MAKERS if make is not make_items]  # which has no address
    for make in makers:
        (tmp_path / make.__name__).mkdir()
    addresses = [str(make(tmp_path / make.__name__, rows)) for make in makers]
    command = [sys.executable, "-c", FORKING, *addresses]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    expected = str([(number, 0, 0) for number in range(40)])
    assert ran.stdout.splitlines() == [expected] * len(makers), ran.stderr


@pytest.mark.parametrize("limit", [0, -3])
def test_limit_below_one_is_refused(tmp_path, limit):
    with pytest.raises(OptionError) as caught:
        open_dataset(make_folder(tmp_path, ROWS), limit)
    assert str(caught.value) == f"the limit of images is {limit}; expected 1 or more"


class TestDecoded:
    def test_upright_as_from_a_file(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        file = io.BytesIO()
        Image.new("RGB", (32, 16)).save(file, "JPEG", exif=exif)
        assert open_photograph(open_encoded_image(file.getvalue(), "a.jpg")).size == (16, 32)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "a.jpg: the picture is empty (0 bytes); get the dataset again"),
            (b"text", "a.jpg: not an image in a format that Pillow reads; convert it to PNG or JPEG"),
        ],
    )
    def test_refused(self, content, message):
        with pytest.raises(ImageError) as caught:
            open_encoded_image(content, "a.jpg")
        assert str(caught.value) == message

    def test_cut_short_is_noticed_when_it_is_loaded(self):
        whole = png((1, 2, 3), (300, 300))
        with pytest.raises(ImageError, match="damaged or cut short"):
            open_photograph(open_encoded_image(whole[: len(whole) // 2], "a.png"))


def test_file_name_that_is_not_utf_8(tmp_path):
    (tmp_path / "ü\udcff.png").write_bytes(ROWS[0][2])
    dataset = open_dataset(tmp_path)
    assert len(dataset.fingerprint()) == 64
    assert colour_of(dataset, 0) == COLOURS["a"]
