"""Which kind of dataset a source is opened as, and the messages for sources that are none."""

from __future__ import annotations

import pytest
from PIL import Image

from shapleycam.errors import DatasetWarning, ImageError, OptionError
from shapleycam.experiments.datasets.dataset import Subset
from shapleycam.experiments.datasets.files import FileDataset
from shapleycam.experiments.datasets.opening import KINDS, open_dataset
from shapleycam.experiments.datasets.webdataset import ShardDataset


def refusal(source: object) -> str:
    with pytest.raises(OptionError) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_dataset_is_itself(tmp_path):
    dataset = FileDataset("x", (tmp_path / "1.png", tmp_path / "2.png"), ("1.png", "2.png"), (None, None))
    assert open_dataset(dataset) is dataset
    assert isinstance(open_dataset(dataset, 1), Subset)


def test_a_folder_of_pictures_and_shards_is_one_of_pictures(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "s.tar").touch()
    with pytest.warns(DatasetWarning, match=r"1 file left out \(s\.tar\), since photographs lie beside"):
        assert open_dataset(tmp_path).names == ("a.png",)


def test_shards_beside_notes(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        Image.new("RGB", (4, 4)).save(tmp_path / "a.gif")
        tar.add(tmp_path / "a.gif", "a.gif")
    (tmp_path / "a.gif").unlink()
    (tmp_path / "README.md").touch()
    assert isinstance(open_dataset(str(tmp_path)), ShardDataset)


@pytest.mark.parametrize("source", ["/no/such/place", "no-such.csv", "s3:bucket", "/no/such.tar", "x" * 250])
def test_missing(source):
    assert refusal(source) == f"{source}: no such file or folder; expected {KINDS}"


def test_path_that_the_system_refuses():
    with pytest.raises((ImageError, OptionError)) as caught:
        open_dataset("x" * 5000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["", " "])
def test_empty(source):
    assert refusal(source) == f"the dataset's path is empty; expected {KINDS}"


def test_file_of_no_kind(tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    message = refusal(tmp_path / "notes.txt")
    assert message.startswith(f"{tmp_path / 'notes.txt'}: not an image in a format that Pillow reads")
    assert message.endswith(f"; a dataset is {KINDS}")


@pytest.mark.parametrize("source", [3, None, ["a.png"]])
def test_object_of_no_kind(source):
    expected = f"the dataset is a {type(source).__name__}; expected {KINDS}, or a dataset object"
    assert refusal(source) == expected
