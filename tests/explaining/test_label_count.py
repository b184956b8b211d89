"""Labels of another number than the classes that a model scores: their names are those of other classes."""

import pytest
import torch

from helpers.small_evaluations import LABELS, SIDE, tiny_network
from shapleycam import Explainer, Network
from shapleycam.errors import OptionError, UnnamedClassesWarning

IMAGES = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def explainer_with(labels):
    return Explainer(tiny_network().model, layer="features", labels=labels)


def test_more_labels_than_classes_are_refused():
    with pytest.raises(
        OptionError, match=r"^labels given: 11, classes that the model scores: 10; expected one for each"
    ):
        explainer_with(["background", *LABELS]).explain(IMAGES, "hirescam", target="ant")


def test_labels_of_a_network_count_too():
    tiny = tiny_network()
    network = Network(tiny.model, tiny.preprocess, ("background", *LABELS), "tiny")
    with pytest.raises(OptionError, match="labels given: 11"):
        Explainer(network, layer="features").compare(IMAGES, ["hirescam"])


def test_fewer_labels_are_warned_of():
    """The model may have a background as its first class, and then "ant" is class 1 of ten and not 0."""
    with pytest.warns(
        UnnamedClassesWarning, match=r"labels given: 9, classes that the model scores: 10: names are right if"
    ):
        explanation = explainer_with(LABELS[:9]).explain(IMAGES, "hirescam", target="ant")
    assert explanation.target.tolist() == [0]


def test_one_label_for_each_class_is_not():
    assert explainer_with(LABELS).explain(IMAGES, "hirescam", target="bee").target.tolist() == [1]
