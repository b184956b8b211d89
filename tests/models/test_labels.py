"""Class names, and the class index of a user's target."""

from __future__ import annotations

import csv

import pytest
import torch
import torchvision

from shapleycam import Explainer
from shapleycam.errors import OptionError, TargetError
from shapleycam.models.labels import class_index, class_name, imagenet_labels, short_label

PETS = ("tabby, tabby cat", "Egyptian cat", "crane", "Crane", "tug, tugboat", "7")


def index_of_target(target: str | int) -> int:
    return class_index(target, PETS, len(PETS))


def test_the_names_of_imagenet_are_in_the_order_of_the_data_sets_own_list(data):
    with (data / "imagenet_classes.csv").open() as file:
        rows = [(int(row["index"]), row["name"]) for row in csv.DictReader(file)]
    ours = imagenet_labels()
    assert len(ours) == len(rows) == 1000
    assert [(index, short_label(ours[index]).casefold()) for index, _ in rows] == [
        (i, name.casefold()) for i, name in rows
    ]


def test_the_names_of_imagenet_agree_with_torchvisions():
    theirs = torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
    differ = {theirs[index] for index, label in enumerate(imagenet_labels()) if short_label(label) != theirs[index]}
    assert differ <= {"crane bird", "maillot tank suit"}  # which torchvision tells apart from their namesakes


@pytest.mark.parametrize(
    ("target", "index"),
    [
        (1, 1),
        ("1", 1),
        (" 1 ", 1),
        ("Egyptian cat", 1),
        ("egyptian CAT", 1),
        ("tabby", 0),
        ("tabby cat", 0),
        ("tabby, tabby cat", 0),
        (" tugboat ", 4),
    ],
)
def test_a_class_is_meant_by_number_name_synonym_or_whole_label(target, index):
    assert index_of_target(target) == index


def test_exact_case_decides_between_names_that_differ_in_it():
    assert (index_of_target("crane"), index_of_target("Crane")) == (2, 3)


def test_digits_that_are_a_number_and_the_label_of_another_class_are_refused():
    message = "class '7' is the number of class 7 and the label of class 5; give '\\+7' for the number, or"
    with pytest.raises(TargetError, match=message):
        index_of_target("7")
    assert index_of_target("+5") == 5
    with pytest.raises(TargetError, match=r"class '1' is the number of class 1 \('2'\) and the label of class 0; give"):
        class_index("1", ("1", "2"), 2)
    assert [class_index(text, ("1", "2"), 2) for text in ("+0", "+1")] == [0, 1]
    assert [class_index(str(digit), tuple("0123456789"), 10) for digit in range(10)] == list(range(10))


def test_a_label_beyond_the_models_classes_is_refused():
    with pytest.raises(TargetError, match="class 2 is out of range: the model has classes 0 to 1"):
        class_index("fox", ("cat", "dog", "fox"), 2)


def test_a_label_that_is_a_comma_is_printed_as_it_is():
    assert class_name(0, (",",)) == ","


def test_a_name_of_several_classes_is_refused_with_their_numbers():
    with pytest.raises(TargetError, match=r"class 'CRANE' is ambiguous: .* 2 \(crane\), 3 \(Crane\); give the number"):
        index_of_target("CRANE")


def test_imagenets_two_cranes_are_ambiguous():
    with pytest.raises(TargetError, match=r"'crane' is ambiguous: it is the name of 134 \(crane\), 517 \(crane\)"):
        class_index("crane", imagenet_labels(), 1000)


def test_of_an_unknown_name_the_nearest_are_told():
    with pytest.raises(TargetError, match=r"'tabbi' is not among the model's 6 labels; did you mean 'tabby'"):
        index_of_target("tabbi")


def test_a_short_list_of_labels_is_told_whole():
    with pytest.raises(TargetError, match=r"'zzz' is not among the model's 2 labels; known are no, yes"):
        class_index("zzz", ("no", "yes"), 2)


@pytest.mark.parametrize("target", [-1, 6, "-1", "6", "+6"])
def test_a_number_out_of_range_is_refused_with_the_range(target):
    with pytest.raises(TargetError, match=rf"class {int(target)} is out of range: the model has classes 0 to 5"):
        index_of_target(target)


@pytest.mark.parametrize("target", ["²", "--1", "1.5", "٣", ""])
def test_what_only_looks_like_a_number_is_an_unknown_name(target):
    with pytest.raises(TargetError, match="is not among the model's 6 labels"):
        index_of_target(target)


def test_a_name_without_labels_is_refused():
    with pytest.raises(TargetError, match="class 'tabby' is a name, and this model has no labels; give a number, or"):
        class_index("tabby", None, 6)


def test_a_number_needs_no_labels():
    assert class_index("5", None, 6) == 5


def test_in_print_a_class_has_its_first_name_or_its_number():
    assert class_name(0, PETS) == "tabby"
    assert class_name(9, PETS) == class_name(9, None) == "class 9"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("cat", "labels='cat' is a str; expected a list of class names"),  # no classes c, a and t
        (
            {0: "cat", 1: "dog"},
            r"labels= is a dict; expected a list .* \[names\[number\] for number in sorted\(names\)\]",
        ),
        ({"cat", "dog"}, "is a set; expected a list"),
        ([1, 2], "the label of class 0 is 1, a int; expected texts"),
        (["cat", None], "the label of class 1 is None"),
        (5, "labels=5 is a int"),
    ],
)
def test_what_is_no_list_of_names_is_refused(labels, message):
    with pytest.raises(OptionError, match=message):
        Explainer(torch.nn.Conv2d(3, 2, 1), labels=labels)


@pytest.mark.parametrize("target", [1.5, [1], None, object(), True])
def test_what_is_no_class_is_refused(target):
    with pytest.raises(TargetError, match=r"target .* is a \w+; expected a class number or label"):
        index_of_target(target)


def test_an_empty_name_is_no_part_of_a_label():
    """A token may be a comma."""
    with pytest.raises(TargetError, match="class '' is not among"):
        class_index("\n", (",", "),", "dog"), 3)


def test_a_short_label_that_is_another_class_too_is_no_name():
    tokens = (",", "),", ")", "a,b", "maillot", "maillot, tank suit", "tug, tugboat")
    names = [class_name(number, tokens) for number in range(len(tokens))]
    assert names == [",", "),", ")", "a", "maillot", "maillot, tank suit", "tug"]
