"""Folders of photographs, and single files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from shapleycam.errors import DatasetWarning, ImageError
from shapleycam.experiments.datasets import folders
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import folders as pictures
from shapleycam.images import open_photograph


def touch_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def refusal(source: object) -> str:
    with pytest.raises(ImageError) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFolder:
    def test_flat(self, tmp_path):
        names = ["ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000001.JPEG"]
        dataset = open_dataset(touch_files(tmp_path, *names, "notes.txt"))
        assert dataset.names == tuple(sorted(names))
        assert (dataset.labels, dataset.classes) == ((None, None), None)
        assert dataset.open(0) == tmp_path / "ILSVRC2012_val_00000001.JPEG"

    def test_image_folder(self, tmp_path):
        dataset = open_dataset(touch_files(tmp_path, "dog/2.jpg", "cat/deep/er/1.PNG", "dog/1.jpg", "dog/model.pth"))
        assert dataset.names == ("cat/deep/er/1.PNG", "dog/1.jpg", "dog/2.jpg")
        assert dataset.labels == ("cat", "dog", "dog")
        assert dataset.classes == ("cat", "dog")

    def test_folders_called_as_splits_are_no_classes(self, tmp_path):
        """A network of two classes would take train for its class 0, and val for its class 1."""
        touch_files(tmp_path, "train/cat/1.jpg", "Val/2.jpg")
        with pytest.warns(DatasetWarning, match="the folders Val, train are splits of a dataset by their names"):
            dataset = open_dataset(tmp_path)
        assert dataset.names == ("Val/2.jpg", "train/cat/1.jpg")
        assert (dataset.labels, dataset.classes) == ((None, None), None)
        assert open_dataset(tmp_path / "train").labels == ("cat",)
        touch_files(tmp_path, "ship/3.jpg")
        assert open_dataset(tmp_path).labels == ("Val", "ship", "train")

    def test_photographs_beside_sub_folders_have_no_label(self, tmp_path):
        dataset = open_dataset(touch_files(tmp_path, "dog/1.jpg", "x.jpg"))
        assert dict(zip(dataset.names, dataset.labels, strict=True)) == {"dog/1.jpg": "dog", "x.jpg": None}
        assert dataset.classes is None

    def test_classes_stay_together_where_their_names_have_punctuation(self, tmp_path):
        dataset = open_dataset(touch_files(tmp_path, "a/2.jpg", "a-b/1.jpg", "a/1.jpg", "a b/1.jpg"))
        assert dataset.labels == ("a", "a", "a b", "a-b")

    def test_order_does_not_come_from_the_disk(self, tmp_path, monkeypatch):
        touch_files(tmp_path, *(f"{name}/{name}.jpg" for name in "cabd"))
        expected = open_dataset(tmp_path).names
        read_folder = pictures._read_folder
        monkeypatch.setattr(pictures, "_read_folder", lambda path: (read_folder(path)[0], read_folder(path)[1][::-1]))
        assert open_dataset(tmp_path).names == expected == ("a/a.jpg", "b/b.jpg", "c/c.jpg", "d/d.jpg")

    def test_links_are_followed_but_not_in_a_circle(self, tmp_path):
        touch_files(tmp_path, "photos/a/1.jpg", "elsewhere/2.jpg")
        (tmp_path / "photos/b").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "photos/a/round").symlink_to(tmp_path / "photos")
        assert open_dataset(tmp_path / "photos").names == ("a/1.jpg", "b/2.jpg")

    def test_link_to_nothing_is_an_image_that_cannot_be_opened(self, tmp_path):
        touch_files(tmp_path, "1.jpg")
        (tmp_path / "2.jpg").symlink_to(tmp_path / "gone.jpg")
        dataset = open_dataset(tmp_path)
        assert dataset.names == ("1.jpg", "2.jpg")
        assert len(dataset.fingerprint()) == 64
        with pytest.raises(ImageError, match="no such file"):
            open_photograph(dataset.open(1))

    def test_without_pictures(self, tmp_path):
        expected = f"{tmp_path}: a folder without pictures; expected files such as .jpg or .png in it"
        assert refusal(touch_files(tmp_path, "notes.txt")) == expected

    @pytest.mark.parametrize("closed", ["", "dog"])
    def test_unreadable_folder_is_an_error_wherever_it_lies(self, tmp_path, monkeypatch, closed):
        touch_files(tmp_path, "cat/1.jpg", "dog/1.jpg")
        scan = os.scandir

        def guarded(path):
            if Path(path) == tmp_path / closed:
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", guarded)  # whoever runs tests as root may read everything
        with pytest.raises(ImageError) as caught:
            folders.open_folder(tmp_path)
        expected = f"{tmp_path / closed}: the folder cannot be read (Permission denied); check its permissions"
        assert str(caught.value) == expected

    def test_as_images_find_where_both_apply(self, tmp_path):
        from shapleycam import images

        touch_files(tmp_path, "b/1.jpg", "a/2.JPEG", "a.png", "a-c/x.webp", "c/notes.txt")
        assert [open_dataset(tmp_path).open(index) for index in range(4)] == images.find_photographs([tmp_path])

    def test_real_photographs(self, data):
        dataset = open_dataset(data / "imagenet-sample", limit=30)
        assert len(dataset) == 30
        assert len(dataset.classes) == 200
        assert all(name.startswith(f"{label}/") for name, label in zip(dataset.names, dataset.labels, strict=True))
        assert open_photograph(dataset.open(0)).mode == "RGB"


class TestSingle:
    def test_one_photograph(self, tmp_path):
        Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
        dataset = open_dataset(str(tmp_path / "a.png"))
        assert (dataset.names, dataset.labels) == (("a.png",), (None,))
        assert open_photograph(dataset.open(0)).size == (4, 4)

    def test_whatever_it_is_called(self, tmp_path):
        Image.new("RGB", (4, 4)).save(tmp_path / "photo", "PNG")
        assert open_dataset(tmp_path / "photo").names == ("photo",)

    def test_damaged_one_waits_until_it_is_opened(self, tmp_path):
        dataset = open_dataset(touch_files(tmp_path, "a.png") / "a.png")
        with pytest.raises(ImageError, match="not an image"):
            open_photograph(dataset.open(0))
