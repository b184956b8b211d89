"""The panel's boxes: every choice is there, what the address says is chosen, and the default leaves no trace in it."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from shapleycam import METHODS
from shapleycam.cams.families import FAMILIES, methods_by_family
from shapleycam.game.removal import NAMED
from shapleycam.layers import RULES
from shapleycam.models.labels import class_index, imagenet_labels
from shapleycam.smoothing import SMOOTHINGS
from shapleycam.utilities import UTILITIES
from shapleycam.web.boxes import Box
from shapleycam.web.classes import class_choice, class_choices
from shapleycam.web.panel import LAYERS, hidden_pairs, panel_boxes, upload_pairs
from shapleycam.web.question import Question
from shapleycam.web.resolved import ABOUT_MAPS
from shapleycam.web.views import VIEWS

MODELS = ["one", "two"]
DRAWN = ["none", "own", "none", "usual", "all"]
"""Smoothing, colours, contours, sign and places of maps, where the address says nothing."""


def boxes(question: Question, view: str = "explain") -> dict[str, Box]:
    return {box.name: box for box in panel_boxes(question, MODELS, VIEWS[view].fields)}


def values(box: Box) -> list[str]:
    return [option.value for options in box.groups.values() for option in options]


def chosen(box: Box) -> list[str]:
    return [option.text.split(":")[0] for options in box.groups.values() for option in options if option.is_chosen]


class TestBoxes:
    def test_each_has_all_choices_once_and_the_default_is_empty(self):
        offered = boxes(Question())
        assert sorted(values(offered["method"])) == sorted({*METHODS, ""} - {"pathcam-h"})
        assert sorted(values(offered["utility"])) == sorted({*UTILITIES, ""} - {"rest"})
        assert values(offered["model"]) == ["", "two"]
        assert values(offered["removal"]) == ["", *(name for name in list(NAMED)[1:] if name != "samples")]
        assert [chosen(box) for box in offered.values()] == [
            [name] for name in ("one", "pathcam-h", "rest", "zero", *DRAWN)
        ]

    def test_against_a_class_the_default_is_the_logit(self):
        assert chosen(boxes(Question(against="cat"))["utility"]) == ["logit"]
        assert "rest" in values(boxes(Question(against="cat"))["utility"])

    def test_fields_that_the_view_does_not_read_change_no_default(self):
        elsewhere = Question(layer="input", against="cat")
        shown = boxes(elsewhere, "ladder")
        assert [chosen(shown[name]) for name in ("method", "utility")] == [["pathcam-h"], ["rest"]]
        shown = boxes(elsewhere)
        assert [chosen(shown[name]) for name in ("method", "utility")] == [["sampledshapley"], ["logit"]]

    def test_what_the_address_says_is_chosen_in_any_spelling(self):
        offered = boxes(Question(model="two", method="Grad-CAM", utility="ReST", removal="Mean"))
        assert [chosen(box) for box in offered.values()] == [
            [name] for name in ("two", "gradcam", "rest", "mean", *DRAWN)
        ]

    @pytest.mark.parametrize("name", ["model", "method", "utility", "removal", *ABOUT_MAPS])
    def test_what_is_unknown_is_shown_and_not_taken_for_something_else(self, name):
        box = boxes(Question(**{name: "nonsense"}))[name]
        assert chosen(box) == ["nonsense"]
        assert values(box)[0] == "nonsense"

    def test_each_method_and_utility_has_its_line_from_the_table(self):
        texts = {
            option.text for box in boxes(Question()).values() for options in box.groups.values() for option in options
        }
        assert {f"{row.name}: {row.description}" for row in METHODS.values()} <= texts
        assert {f"{row.name}: {row.summary}" for row in UTILITIES.values()} <= texts

    def test_methods_are_grouped_by_what_they_are_computed_from(self):
        groups = boxes(Question())["method"].groups
        assert list(groups) == [f"{family}: {FAMILIES[family]}" for family in methods_by_family()]
        assert {family for family, line in FAMILIES.items() if line} >= {row.group for row in METHODS.values()}

    def test_maps_can_be_smoothed_coloured_and_masked_in_other_ways_than_those_that_are_offered(self):
        offered = boxes(Question(smooth="Noise, augment", colours="plasma", top_value="0.65"), "compare")
        assert chosen(offered["smooth"]) == ["augment, then noise"]
        assert values(offered["smooth"]) == ["", *SMOOTHINGS, "augment,noise"]
        assert (chosen(offered["colours"]), values(offered["colours"])[-1]) == (["plasma"], "plasma")
        assert chosen(offered["top_value"]) == ["those that hold 65% of the value"]
        drawn = Question(smooth="eigen", colours="Viridis", contours="9", sign="negative", top_value="0.5")
        texts = ["eigen", "viridis", "at 9 steps of the scale", "negative", "those that hold 50% of the value"]
        assert [chosen(box) for box in boxes(drawn).values()][4:] == [[text] for text in texts]
        assert chosen(boxes(Question(contours="1"))["contours"]) == ["at 1 step of the scale"]

    def test_compare_has_sets(self):
        assert values(boxes(Question(), "compare")["methods"])[:3] == ["", "all", "field"]
        assert chosen(boxes(Question(methods="all"), "compare")["methods"]) == ["all"]

    def test_each_rule_for_layers_has_a_line(self):
        assert set(LAYERS) == set(RULES)


class TestCarried:
    QUESTION = Question(photo="p", target="cat", method="gradcam", methods="all", run="r", absent="1.2", error="2")

    def test_a_form_carries_the_photograph_and_what_other_views_read(self):
        pairs = dict(hidden_pairs(self.QUESTION, VIEWS["explain"].fields))
        assert pairs == {"photo": "p", "methods": "all", "run": "r", "error": "2"}

    @pytest.mark.parametrize("view", ["explain", "compare"])
    def test_a_form_without_a_change_asks_the_same(self, view):
        fields = VIEWS[view].fields
        shown = parse_qsl(self.QUESTION.but(photo="").only(fields).address())
        again = Question.read([*hidden_pairs(self.QUESTION, fields), *shown])
        assert again == self.QUESTION.but(absent="")

    def test_another_photograph_is_explained_for_its_predicted_class(self):
        assert dict(upload_pairs(self.QUESTION)) == {"method": "gradcam", "methods": "all", "run": "r", "error": "2"}


class TestClassChoices:
    def test_each_leads_back_to_its_class(self):
        labels = imagenet_labels()
        choices = class_choices(labels)
        assert [class_index(choice, labels, len(labels)) for choice in choices] == list(range(len(labels)))
        assert choices[400] == "academic gown"
        assert choices[134] == "134"  # crane: of two classes the first name

    @pytest.mark.parametrize("labels", [["7", "0"], ["a, b", "b"], ["A", "a"], ["", "x"], ["same", "same"]])
    def test_also_where_names_are_numbers_or_not_clear(self, labels):
        assert [class_index(choice, labels, len(labels)) for choice in class_choices(labels)] == [0, 1]

    def test_without_labels_it_is_the_number(self):
        assert class_choice(3, None) == "3"
