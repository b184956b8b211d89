"""The tab Ladder: its rows are the library's, layer by layer; who stops keeps them."""

from __future__ import annotations

import re

import pytest

from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, rows_of, text_of
from shapleycam import Explainer, ladder
from shapleycam.errors import ShapleyCamError
from shapleycam.fidelity import InputDistance, InputQuestion
from shapleycam.web import climbed
from shapleycam.web.climbed import Climb
from shapleycam.web.views.ladder import sentence_of

QUESTION = {"players": "2x2", "removal": "blur", "method": "hirescam"}


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(colour_network.network())


@pytest.fixture(scope="module")
def states(views) -> list[str]:
    return views.states("ladder", **QUESTION)


def test_rows_are_those_of_the_library(states):
    explainer = Explainer(colour_network.network(), device="cpu")
    expected = ladder(explainer, HOPPER, question=InputQuestion(players=(2, 2), removal="blur"))
    rows = rows_of(states[-1])
    assert [row[0] for row in rows] == [each.layer for each in expected.distances]
    assert [row[1].casefold() for row in rows] == [each.method for each in expected.distances]
    for row, distance in zip(rows, expected.distances, strict=True):
        for text, figure in zip(
            (row[3], row[5], row[6]), (distance.pearson_corrected, distance.pearson, distance.spearman), strict=True
        ):
            assert float(text) == pytest.approx(figure, abs=0.006)
        assert float(row[2].replace(",", "")) > 0
    facts = facts_of(states[-1])
    assert facts["Regions of the photograph"] == "4"
    assert facts["Utility of the photograph"] == f"{expected.inputs[0].utility_whole:.4g} of rest"
    assert facts["The same with everything removed"] == f"{expected.inputs[0].utility_removed:.4g}"


def test_layers_come_one_by_one_from_the_last_and_can_be_stopped_at(states):
    running = [state for state in states if 'class="button stop"' in state]
    stops = [re.search(r'href="ladder\?[^"]*layers=([^"&]*)"', state)[1] for state in running]
    assert stops[:2] == ["act", "act%2Cbody"]
    assert "Now layer body, 2 of" in text_of(running[0])
    assert "stop" not in states[-1]


def test_who_stops_keeps_the_layers_and_nothing_is_measured_again(views, states, monkeypatch):
    monkeypatch.setattr(climbed, "own_values", lambda *_: pytest.fail("a layer was measured again"))
    monkeypatch.setattr(climbed, "_input_values", lambda *_: pytest.fail("the input was measured again"))
    stopped = views.states("ladder", **QUESTION, layers="act,body")[-1]
    assert [row[0] for row in rows_of(stopped)] == ["act", "act", "body", "body", "input"]
    assert "Go on to all layers" in text_of(stopped)


def test_values_that_are_sampled_say_how_far_they_are():
    views = Views(colour_network.network())
    begun = [text_of(each) for each in views.states("ladder", players="4x4", layers="act", method="sampledshapley")]
    made = [
        int(match[1].replace(",", ""))
        for match in (re.search(r"([\d,]+) of 1,920 runs", each) for each in begun)
        if match
    ]
    assert made == sorted(made)
    assert made[0] == 60
    assert "hirescam" not in begun[-1]
    assert [each for each in begun if "Now layer act, 1 of 2" in each]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": "act,act"}, "layer 'act' is named twice"),
        ({"layers": "nowhere"}, "nowhere"),
        ({"players": "40x40"}, "the values of 1,600 players at layer 'input' take"),
    ],
)
def test_refusals_are_one_line(views, fields, message):
    with pytest.raises(ShapleyCamError) as caught:
        views.states("ladder", **fields)
    words = views.resources.words_of(caught.value)
    assert message in words
    assert "=" not in words


def _distance(layer: str, corrected: float | None) -> InputDistance:
    return InputDistance("cat", "rest", layer, "shapley values", 0.5, 0.1, 0.4, corrected, 0.4, None, passes=6.0)


@pytest.mark.parametrize(
    ("distances", "sentence"),
    [
        ([], "The photograph's own values took 900 forward passes."),
        ([("bn2", None)], "No layer's correlation with the photograph's own values is resolved above their noise. "),
        (
            [("bn2", 0.7)],
            "With the photograph's own values the Shapley values of bn2 have a correlation of 0.70, for 6 ",
        ),
        (
            [("bn2", 0.7), ("blocks.4", 0.91)],
            "Of 2 layers on this photograph, the Shapley values of blocks.4 are closest",
        ),
    ],
)
def test_the_sentence_says_what_is_resolved(distances, sentence):
    made = tuple(_distance(*each) for each in distances)
    assert sentence_of(Climb(("bn2", "input"), "", input_passes=900.0, distances=made)).startswith(sentence)
