"""The panel beside every answer: the boxes of its form, and the hidden fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

from shapleycam.layers import RULES
from shapleycam.tracing.input_layer import INPUT
from shapleycam.web.boxes import Box, option_text
from shapleycam.web.defaults import DEFAULT_LAYER
from shapleycam.web.map_boxes import colours_box, contours_box, places_box, sign_box, smoothing_box
from shapleycam.web.question import Question
from shapleycam.web.question_boxes import (
    method_box,
    methods_box,
    model_box,
    players_box,
    removal_box,
    runs_box,
    utility_box,
)
from shapleycam.web.resolved import ABOUT_PLAYERS

LAYERS = {
    "before-pool": "the last features that have places, before they are pooled",
    "last-conv": "the output of the last convolution",
}
"""A line about each rule that finds a layer."""


def panel_boxes(
    question: Question, models: Sequence[str], fields: Iterable[str], *, has_reference: bool = False
) -> list[Box]:
    """Return the boxes that offer a few options, for the fields that a view reads.

    They offer removal "samples" only if there are reference photographs. Defaults depend on the fields that the view
    reads, as its answer does: the ladder has the default utility also where the address has a second class.
    """
    shown = set(fields)
    question = question.only(shown)
    boxes = [
        model_box(question, models),
        method_box(question),
        methods_box(question),
        utility_box(question),
        removal_box(question, has_reference=has_reference),
        players_box(question.players),
        runs_box(question.runs),
        smoothing_box(question.smooth),
        colours_box(question.colours),
        contours_box(question.contours),
        sign_box(question.sign),
        places_box(question.top_value),
    ]
    if "layer" in shown and question.layer != INPUT:  # these fields are for the input; elsewhere only if they are set
        shown -= {name for name in ABOUT_PLAYERS if not getattr(question, name)}
    return [box for box in boxes if box.name in shown]


def hidden_pairs(question: Question, fields: Iterable[str]) -> list[tuple[str, str]]:
    """Return the hidden names and values of a view's form: the photograph, and the fields that only other views read.

    The absent players of a coalition are not included, because another layer has other places.
    """
    own = dict(parse_qsl(question.but(photo="").only(fields).address()))
    return [(name, value) for name, value in parse_qsl(question.address()) if name not in own and name != "absent"]


def upload_pairs(question: Question) -> list[tuple[str, str]]:
    """Return the names and values that stay the same for a new photograph."""
    return parse_qsl(question.but(photo="", target="", against="", absent="").address())


def layer_options() -> list[tuple[str, str]]:
    """Return the rules that find a layer, each with its value in the address and its text."""
    return [("" if rule == DEFAULT_LAYER else rule, option_text(rule, LAYERS[rule])) for rule in RULES]
