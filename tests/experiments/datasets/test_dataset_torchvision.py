"""Datasets of torchvision, from disk, and others that give (PIL image, label)."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils import data as torch_data

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.images import open_photograph


def refusal(source: object) -> str:
    with pytest.raises(OptionError) as caught:
        open_dataset(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10 as it lies on disk, ten images in each file; image i of the test file is all i, and of class i."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    kind = torchvision.datasets.CIFAR10

    def written(name: str, content: object) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    def batch(classes: list[int]) -> dict[str, object]:
        return {"data": np.repeat(np.arange(10, dtype=np.uint8)[:, None], 3072, axis=1), "labels": classes}

    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    train = [[name, written(name, batch([0] * 10))] for name, _ in kind.train_list]
    monkeypatch.setattr(kind, "train_list", train)
    monkeypatch.setattr(kind, "test_list", [["test_batch", written("test_batch", batch(list(range(10))))]])
    meta = {**kind.meta, "md5": written("batches.meta", {"label_names": names})}
    monkeypatch.setattr(kind, "meta", meta)
    return tmp_path


class TestNamed:
    def test_test_images_unless_asked_otherwise(self, cifar):
        dataset = open_dataset(f"torchvision:CIFAR10:{cifar}")
        assert dataset.labels == tuple(range(10))
        assert dataset.classes[3] == "cat"
        assert open_photograph(dataset.open(7)).getpixel((0, 0)) == (7, 7, 7)
        assert open_dataset(f"torchvision:CIFAR10:{cifar}:test").labels == dataset.labels
        assert open_dataset(f"torchvision:CIFAR10:{cifar}:train").labels == (0,) * 50

    def test_validation_where_there_is_no_test(self, tmp_path):
        for name in torchvision.datasets.Imagenette._WNID_TO_CLASS:
            for split in ("train", "val"):
                (tmp_path / "imagenette2" / split / name).mkdir(parents=True)
                Image.new("RGB", (4, 4)).save(tmp_path / "imagenette2" / split / name / f"{split}.JPEG")
        dataset = open_dataset(f"torchvision:Imagenette:{tmp_path}")
        assert all(name.endswith("/val.JPEG") for name in dataset.names)
        assert dataset.labels == tuple(range(10))
        assert dataset.classes[0] == "tench, Tinca tinca"

    def test_image_folder(self, tmp_path):
        for name in "ba":
            (tmp_path / name).mkdir()
            Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
        dataset = open_dataset(f"torchvision:ImageFolder:{tmp_path}")
        assert (dataset.names, dataset.labels, dataset.classes) == (("a/1.png", "b/1.png"), (0, 1), ("a", "b"))


class TestRefused:
    def test_unknown_name(self, tmp_path):
        expected = f"torchvision:CIFAR11:{tmp_path}: 'CIFAR11' is no dataset of torchvision; did you mean 'CIFAR10'"
        assert refusal(f"torchvision:CIFAR11:{tmp_path}").startswith(expected)

    def test_not_on_disk(self, tmp_path):
        message = refusal(f"torchvision:CIFAR10:{tmp_path}")
        assert message.startswith(f"torchvision:CIFAR10:{tmp_path}: torchvision cannot open it (Dataset not found")
        assert message.endswith(f"nothing is downloaded here, so put the dataset into {tmp_path} first")
        assert list(tmp_path.iterdir()) == []

    def test_no_such_folder(self, tmp_path):
        spec = f"torchvision:CIFAR10:{tmp_path}/none"
        assert refusal(spec) == f"{spec}: no such folder {tmp_path}/none; expected the one that holds CIFAR10"

    def test_no_such_split(self, cifar):
        spec = f"torchvision:CIFAR10:{cifar}:val"
        assert refusal(spec).startswith(f"{spec}: the dataset has the splits train and test, not 'val'; expected ")
        spec = f"torchvision:SVHN:{cifar}:val"
        assert refusal(spec).startswith(f"{spec}: torchvision refuses it (Unknown value 'val' for argument split")

    def test_dataset_without_splits(self, tmp_path):
        spec = f"torchvision:ImageFolder:{tmp_path}:test"
        assert refusal(spec).startswith(f"{spec}: the dataset has no splits, not 'test'; expected ")

    def test_the_colon_of_a_drive_begins_no_split(self):
        assert r"no such folder C:\data;" in refusal(r"torchvision:CIFAR10:C:\data")
        assert r"no such folder C:\data;" in refusal(r"torchvision:CIFAR10:C:\data:test")

    @pytest.mark.parametrize("spec", ["torchvision:CIFAR10", "torchvision:CIFAR10:", "torchvision:FakeData:/tmp"])
    def test_incomplete(self, spec):
        assert "expected torchvision:NAME:FOLDER" in refusal(spec)


class Counted(torch_data.Dataset):
    """Five grey images; counts how often an item is read."""

    def __init__(self, targets=None):
        self.reads = 0
        if targets is not None:
            self.targets = targets

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if not 0 <= index < 5:
            raise IndexError(index)
        self.reads += 1
        return Image.new("L", (4, 4), index), 10 + index


class TestObjects:
    def test_fake_data(self):
        fake = torchvision.datasets.FakeData(4, (3, 8, 8), 10)
        dataset = open_dataset(fake)
        assert dataset.labels == tuple(fake[index][1] for index in range(4))
        assert dataset.names == ("00000000", "00000001", "00000002", "00000003")
        assert np.array_equal(open_photograph(dataset.open(2)), fake[2][0])

    @pytest.mark.parametrize(
        "targets", [list(range(10, 15)), torch.arange(10, 15), np.arange(10, 15)], ids=["list", "tensor", "array"]
    )
    def test_list_of_targets_saves_reading(self, targets):
        torch_dataset = Counted(targets)
        dataset = open_dataset(torch_dataset)
        assert dataset.labels == (10, 11, 12, 13, 14)
        assert all(type(label) is int for label in dataset.labels)
        assert torch_dataset.reads <= 5  # the ends of the list, the first picture, and it twice more: is it random?

    @pytest.mark.parametrize("targets", [None, [0] * 5, [10, 11], ["a.xml"] * 5], ids=["none", "other", "few", "text"])
    def test_list_that_does_not_agree_is_not_believed(self, targets):
        assert open_dataset(Counted(targets)).labels == (10, 11, 12, 13, 14)

    def test_changed_targets(self, tmp_path):
        (tmp_path / "a").mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / "a/1.png")
        torch_dataset = torchvision.datasets.ImageFolder(tmp_path, target_transform=lambda number: number + 7)
        assert open_dataset(torch_dataset).labels == (7,)

    def test_subset_keeps_the_classes_of_its_dataset(self, cifar):
        whole = torchvision.datasets.CIFAR10(cifar, train=False)
        dataset = open_dataset(torch_data.Subset(whole, [4, 2]))
        assert dataset.labels == (4, 2)
        assert dataset.classes[4] == "deer"

    def test_pixels_in_memory_are_the_fingerprint(self, cifar):
        whole = torchvision.datasets.CIFAR10(cifar, train=False)
        before = open_dataset(whole).fingerprint()
        whole.data[3, 0, 0, 0] += 1
        assert open_dataset(whole).fingerprint() != before

    def test_pictures_of_an_object_are_the_fingerprint_where_nothing_else_is(self):
        class Brighter(Counted):
            def __getitem__(self, index):
                picture, target = super().__getitem__(index)
                return picture.point(lambda value: value + 100 * (index == 3)), target

        dataset, other = open_dataset(Counted()), open_dataset(Brighter())
        assert dataset.fingerprint() == open_dataset(Counted()).fingerprint() != other.fingerprint()
        differing = [index for index in range(5) if dataset.content_signature(index) != other.content_signature(index)]
        assert differing == [3]

    def test_pictures_that_are_others_each_time_are_refused(self):
        class Random(Counted):
            def __getitem__(self, index):
                picture, target = super().__getitem__(index)
                return picture.point(lambda value: value + self.reads), target

        assert refusal(Random()) == (
            "Random: item 0 is another picture each time it is read; leave random transforms out, so that figures "
            "belong to pictures that can be seen again"
        )

    @pytest.mark.parametrize("target", [{"boxes": []}, 0.5, None, Image.new("L", (1, 1))])
    def test_targets_that_are_no_class(self, target):
        class Odd(Counted):
            def __getitem__(self, index):
                return super().__getitem__(index)[0], target

        assert open_dataset(Odd()).labels == (None,) * 5

    def test_one_damaged_item_is_one_damaged_row(self):
        class Damaged(Counted):
            def __getitem__(self, index):
                if index == 1:
                    raise OSError("broken\ndata stream")
                return super().__getitem__(index)

        dataset = open_dataset(Damaged())
        assert dataset.labels == (10, None, 12, 13, 14)
        with pytest.raises(ImageError) as caught:
            dataset.open(1)
        assert str(caught.value) == "00000001: the dataset cannot read it (broken data stream)"

    def test_tensors_are_refused(self):
        torch_dataset = torchvision.datasets.FakeData(2, transform=torchvision.transforms.ToTensor())
        expected = "FakeData: item 0 holds a Tensor; expected a PIL image and its class: leave transform= out"
        assert refusal(torch_dataset) == expected

    def test_empty(self):
        assert refusal(torchvision.datasets.FakeData(0)) == "FakeData: the dataset has no items; expected at least one"

    def test_streams_are_refused(self):
        class Stream(torch_data.IterableDataset):
            def __iter__(self):
                yield 1

        message = refusal(Stream())
        assert message == "Stream: the dataset is one to iterate over; expected one with a length and items by number"
