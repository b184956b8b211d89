"""The model's class for each label of a dataset."""

from __future__ import annotations

import csv
import warnings

import pytest
import torchvision

from shapleycam.errors import DoubtfulClassWarning
from shapleycam.experiments.datasets.classes import class_numbers, warn_of_doubtful_classes
from shapleycam.experiments.datasets.opening import open_dataset
from shapleycam.models.labels import imagenet_labels

PETS = ["cat", "dog, hound", "Bird"]


class TestDoubts:
    def test_numbers_beyond_the_model_are_those_of_another_list(self):
        with pytest.warns(DoubtfulClassWarning, match=r"numbers from 1 to 3, and the model's classes 0 to 2;"):
            warn_of_doubtful_classes([1, 2, 3, None], None, 3, None)

    def test_names_that_are_classes_by_their_order_alone(self):
        expected = r"knows none of the dataset's 2 class names, .*: 'hund' is class 0, 'cat'; if this is wrong"
        with pytest.warns(DoubtfulClassWarning, match=expected):
            warn_of_doubtful_classes(["hund"], ["cat", "dog"], 2, ["hund", "katze"])

    @pytest.mark.parametrize(
        "described",
        [
            ([0, 1, 2, -1, None], None, 3, None),
            ([5, 9], None, None, None),  # nothing is known of the model
            (["cat", "owl"], PETS, 3, ["cat", "hund", "vogel"]),  # one name is known, and its place agrees
            (["owl"], PETS, 3, ["cat", "owl"]),  # by name, since there are not as many
            (["x"], None, 3, ["x", "y", "z"]),  # the model has no names that could agree
            (["1"], PETS, 3, ["0", "1", "2"]),
            (["10"], [f"class {n}" for n in range(11)], 11, sorted(map(str, range(11)))),  # by number, not by order
        ],
    )
    def test_none(self, described):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DoubtfulClassWarning)
            warn_of_doubtful_classes(*described)


class TestNumbers:
    def test_themselves_within_the_model(self):
        assert class_numbers([2, 0, 3, -1, None], None, 3) == [2, 0, None, None, None]

    def test_range_from_the_labels(self):
        assert class_numbers([2, 3], PETS, None) == [2, None]

    def test_nothing_known_of_the_model(self):
        assert class_numbers([5, -1, "cat"], None, None, ["cat"] * 9) == [5, None, None]

    def test_of_other_classes_go_by_name(self):
        """CIFAR's class 1 is no goldfish."""
        assert class_numbers([0, 1, 2], PETS, 3, ["dog", "ship"]) == [1, None, None]

    def test_of_as_many_classes_in_another_order_go_by_name(self):
        assert class_numbers([0, 1, 2], PETS, 3, ["bird", "cat", "hound"]) == [2, 0, 1]

    def test_of_as_many_classes_with_no_names_in_common_stay(self):
        assert class_numbers([0, 2], ["A", "B", "C"], 3, ["x", "y", "z"]) == [0, 2]

    def test_imagenette(self):
        classes = [", ".join(names) for names in torchvision.datasets.Imagenette._WNID_TO_CLASS.values()]
        expected = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]  # of its web page
        assert class_numbers(range(10), imagenet_labels(), 1000, classes) == expected


class TestNames:
    @pytest.mark.parametrize(
        ("label", "number"), [("cat", 0), ("CAT", 0), ("hound", 1), ("dog, hound", 1), ("bird", 2), (" cat ", 0)]
    )
    def test_any_case_and_synonyms(self, label, number):
        assert class_numbers([label], PETS, 3) == [number]

    @pytest.mark.parametrize("label", ["ca", "cats", "", "1", None])
    def test_others_are_unknown(self, label):
        assert class_numbers([label], PETS, 3) == [None]

    def test_case_counts_where_it_tells_apart(self):
        assert class_numbers(["Cat", "cat", "CAT"], ["Cat", "cat"], 2) == [0, 1, None]

    def test_ambiguous_ones_are_unknown(self):
        """The name crane stands for a bird and for a machine."""
        assert class_numbers(["crane"], imagenet_labels(), 1000) == [None]

    def test_beyond_the_models_outputs(self):
        assert class_numbers(["Bird"], PETS, 2) == [None]


class TestSynsets:
    def test_every_one_of_imagenet(self, data):
        with (data / "imagenet_classes.csv").open() as file:
            rows = list(csv.DictReader(file))
        actual = class_numbers([row["synset"] for row in rows], imagenet_labels(), 1000)
        assert actual == [int(row["index"]) for row in rows]

    def test_folder_of_some(self, data):
        with (data / "imagenet_classes.csv").open() as file:
            truth = {row["synset"]: int(row["index"]) for row in csv.DictReader(file)}
        dataset = open_dataset(data / "imagenet-sample")
        actual = class_numbers(dataset.labels, imagenet_labels(), 1000, dataset.classes)
        assert actual == [truth[name.partition("/")[0]] for name in dataset.names]
        assert actual != list(range(200))

    @pytest.mark.parametrize("limit", [5, 200])
    def test_folder_of_some_through_torchvision(self, data, limit):
        image_folder = torchvision.datasets.ImageFolder(data / "imagenet-sample")
        theirs, ours = open_dataset(image_folder, limit), open_dataset(data / "imagenet-sample", limit)
        numbers = class_numbers(theirs.labels, imagenet_labels(), 1000, theirs.classes)
        assert numbers == class_numbers(ours.labels, imagenet_labels(), 1000, ours.classes)

    def test_with_torchvisions_names(self):
        """Torchvision's class names differ from timm's in two places."""
        names = torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
        assert class_numbers(["n01440764", "n02012849", "n15075141"], names, 1000) == [0, 134, 999]

    @pytest.mark.parametrize("labels", [None, PETS, [f"class {number}" for number in range(1000)]])
    def test_mean_nothing_to_other_models(self, labels):
        assert class_numbers(["n01440764"], labels, 1000) == [None]

    def test_that_are_the_models_own_labels(self):
        assert class_numbers(["n02102040", "n01440764"], ["n01440764", "n02102040"], 2) == [1, 0]

    def test_unknown(self):
        assert class_numbers(["n00000000"], imagenet_labels(), 1000) == [None]


class TestFolders:
    def test_sorted_as_in_training(self):
        assert class_numbers(["y", "x", "z", None], None, 3, ["x", "y", "z"]) == [1, 0, 2, None]
        assert class_numbers(["y", "x", "z"], ["A", "B", "C"], 3, ["x", "y", "z"]) == [1, 0, 2]

    def test_more_or_fewer_than_classes_are_unknown(self):
        for total in (2, 4):
            assert class_numbers(["y", "x", "z"], None, total, ["x", "y", "z"]) == [None] * 3

    def test_names_go_before_places(self):
        folders = sorted(["bird", "cat", "dog"])
        assert class_numbers(folders, PETS, 3, folders) == [2, 0, 1]

    def test_one_name_at_another_place_spoils_the_order(self):
        assert class_numbers(["bird", "x", "y"], PETS, 3, ["bird", "x", "y"]) == [2, None, None]

    def test_first_images_of_a_folder_keep_its_order(self, tmp_path):
        for name in "xyz":
            (tmp_path / name).mkdir()
            (tmp_path / name / "1.jpg").touch()
        dataset = open_dataset(tmp_path, limit=2)
        assert class_numbers(dataset.labels, None, 3, dataset.classes) == [0, 1]

    def test_list_has_no_order(self):
        assert class_numbers(["x", "y", "z"], None, 3) == [None] * 3

    def test_imagenet_v2(self):
        """Its folders are called by the class numbers, 0 to 999."""
        folders = sorted(map(str, range(1000)))
        assert folders[2] == "10"
        actual = class_numbers(folders, imagenet_labels(), 1000, folders)
        assert actual == [int(name) for name in folders]

    def test_numbers_that_may_mean_either_order(self):
        folders = sorted(map(str, range(12)))
        assert class_numbers(folders, None, 12, folders) == [None] * 12
        from_one = sorted(map(str, range(1, 13)))
        assert class_numbers(from_one, list("ABCDEFGHIJKL"), 12, from_one) == [None] * 12

    def test_numbers_in_order(self):
        folders = [f"{number:02d}" for number in range(12)]
        assert class_numbers(folders[::-1], None, 12, folders) == list(range(12))[::-1]

    def test_numbers_that_are_the_models_labels(self):
        folders = sorted(map(str, range(12)))
        assert class_numbers(["10"], folders, 12, folders) == [2]


def test_class_called_twice_is_unknown():
    assert class_numbers(["crane", "cat"], None, 3, ["crane", "cat", "crane"]) == [None, 1]


def test_imagenets_own_names_in_order():
    """Among them are two names of two classes each, which the order tells apart for numbers."""
    assert class_numbers(range(1000), imagenet_labels(), 1000, imagenet_labels()) == list(range(1000))
