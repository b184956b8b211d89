"""The tab Coalitions, against the library."""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import colour_network
from helpers.planted_networks import Plan, Planted
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, text_of
from shapleycam import Explainer, Network, Preprocess, values
from shapleycam.errors import OptionError
from shapleycam.utilities import contrast
from shapleycam.web.played_game import played_game
from shapleycam.web.views.coalition_value import CoalitionValue, absent_places, coalition_value


@pytest.fixture(scope="module")
def views():
    return Views(colour_network.network())


@pytest.fixture(scope="module")
def explainer():
    return Explainer(colour_network.network(), layer="body", device="cpu")


def members(absent, players=49):
    inside = torch.ones(1, players, dtype=torch.bool)
    inside[0, absent] = False
    return inside


class TestWorth:
    def test_is_what_the_library_says(self, views, explainer):
        (html,) = views.states("coalition-value", layer="body", absent="3.10.11")
        game, chance = explainer.game(HOPPER), explainer.game(HOPPER, utility="probability")
        inside = members([3, 10, 11])
        facts = facts_of(html)
        worth = float(game.value(inside)[0, 0])
        probability = float(chance.value(inside)[0, 0] + chance.empty[0])
        assert facts["v(S), what they are worth"] == f"{worth:.4f} of rest"
        assert facts["v(N), what all are worth"] == f"{float(game.grand[0]):.4f}"
        assert facts["Probability of the class"] == f"{100 * probability:.2f}%"
        assert facts["Places in"] == "46 of 49"
        true = values.permutation(game, tolerance=0.0005, seed=7).values[0]
        predicted, error = map(float, facts["Predicted by their Shapley values"].split(" ± "))
        assert predicted == pytest.approx(float(true[inside[0]].sum()), abs=4 * error + 1e-4)
        assert float(facts["v(S) less the prediction"]) == pytest.approx(worth - predicted, abs=2e-4)
        all_in, none = float(chance.full[0]), float(chance.empty[0])
        assert f"{100 * probability:.1f}%; with all of them {100 * all_in:.1f}%, with none {100 * none:.1f}%" in html

    @pytest.mark.parametrize(("absent", "expected"), [("", 1.0), (".".join(map(str, range(49))), 0.0)])
    def test_of_everybody_and_of_nobody_the_prediction_is_exact(self, views, explainer, absent, expected):
        (html,) = views.states("coalition-value", layer="body", absent=absent)
        grand, facts = float(explainer.game(HOPPER).grand[0]), facts_of(html)
        assert float(facts["v(S), what they are worth"].split()[0]) == pytest.approx(expected * grand, abs=1e-4)
        assert facts["v(S) less the prediction"] in {"+0.0000", "-0.0000"}
        assert "the prediction is exact" in html

    def test_of_the_chosen_class_against_another(self, views, explainer):
        question = {"layer": "body", "target": "red", "against": "blue", "absent": "0.1.2.3.4.5.6"}
        (html,) = views.states("coalition-value", **question)
        game = explainer.game(HOPPER, target="red", utility=contrast("blue", "logit"))
        worth = float(game.value(members(list(range(7))))[0, 0])
        assert facts_of(html)["v(S), what they are worth"] == f"{worth:.4f} of log-odds"
        chance = explainer.game(HOPPER, target="red", utility="probability")
        probability = float(chance.value(members(list(range(7))))[0, 0] + chance.empty[0])
        assert f"the model gives red {100 * probability:.1f}%" in html

    def test_its_error_is_that_of_the_samples(self, views):
        played = played_game(views.resolved(layer="body"))
        worth = coalition_value(played, [0, 1, 2], lambda: None)
        sums = played.samples(128, lambda: None)[0, :, 3:].sum(1).numpy()
        assert len(sums) == 32
        assert worth.predicted == pytest.approx(sums.mean())
        of_streams = sums.reshape(4, 8).mean(0)  # samples belong to eight independent streams in turn
        assert worth.stderr == pytest.approx(of_streams.std(ddof=1) / 8**0.5)

    def test_prefix_tokens_are_always_in(self):
        plan = Plan("tokens", (4, 4), prefix=1)
        preprocess = Preprocess(16, (16, 16), (0.0,) * 3, (1.0,) * 3)
        views = Views(Network(Planted(plan).eval(), preprocess, None, "planted"))
        (html,) = views.states("coalition-value", layer="cells", absent=".".join(map(str, range(16))))
        assert "they are always in" in text_of(html)
        assert facts_of(html)["Places in"] == "0 of 16"
        explainer = Explainer(Planted(plan).eval(), layer="cells", preprocess=preprocess, device="cpu")
        worth = float(explainer.game(HOPPER).value(members(list(range(16)), 17))[0, 0])
        assert worth != 0
        assert facts_of(html)["v(S), what they are worth"].startswith(f"{worth:.4f} of")


class TestWords:
    def worth(self, **changes):
        figures = {
            "label": "cat",
            "unit": "logit",
            "inside": 3,
            "places": 4,
            "has_prefix": False,
            "value": 2.0,
            "grand": 3.0,
            "predicted": 1.5,
            "stderr": 0.1,
            "probability": 0.5,
            "of_all": 0.75,
            "of_none": 0.1,
        }
        return CoalitionValue(**{**figures, **changes})

    def test_more_less_or_as_predicted(self):
        assert "worth more by themselves" in self.worth().meaning
        assert "worth less by themselves" in self.worth(value=1.0).meaning
        assert "within their error" in self.worth(value=1.6).meaning
        assert "within their error" in self.worth(value=1.500001, stderr=0.0).meaning

    def test_probabilities(self):
        assert (
            self.worth().sentence
            == "With 3 of 4 places in, the model gives cat 50.0%; with all of them 75.0%, with none 10.0%."
        )
        assert self.worth(inside=4).sentence == "With all 4 places in, the model gives cat 50.0%."
        assert self.worth(inside=0).sentence.startswith("With no place in, the model still gives cat 50.0%; with all")
        without = self.worth(probability=None, of_all=None, of_none=None)
        assert without.sentence == "3 of 4 places are in; they are worth 2 of logit."
        assert "Probability of the class" not in {name for name, _, _ in without.details()}


class TestBoard:
    def test_says_which_are_in(self, views):
        (html,) = views.states("coalitions", layer="body", absent="48.0")
        pressed = re.findall(r'id="place-(\d+)"[^>]* aria-pressed="(\w+)" aria-label="row (\d), column (\d)"', html)
        assert [int(place) for place, *_ in pressed] == list(range(49))
        assert {int(place) for place, is_in, *_ in pressed if is_in == "false"} == {0, 48}
        assert [(int(row) - 1) * 7 + int(column) - 1 for *_, row, column in pressed] == list(range(49))
        assert facts_of(html)["Places in"] == "47 of 49"
        assert 'data-address="answer/coalition-value?layer=body&amp;server=' in html

    def test_the_picture_is_what_the_network_sees(self, views):
        picture = np.asarray(Image.open(BytesIO(views.picture("input", layer="body")))).astype(int)
        seen = played_game(views.resolved(layer="body")).image.picture(0).numpy().astype(int)
        assert picture.shape == (56, 56, 3)
        assert np.abs(picture - seen).mean() < 8  # WebP loses a little

    def test_large_grids_are_played_by_regions(self, views):
        (html,) = views.states("coalitions", layer="stem")
        assert html.count('class="place"') == 64
        rows, columns = played_game(views.resolved(layer="stem")).sides
        assert sum(rows) == sum(columns) == 14
        assert len(rows) == len(columns) == 8
        assert "the layer has 14 x 14 cells, more than can be played, and 8 x 8 regions" in text_of(html)


class TestAddress:
    @pytest.mark.parametrize("text", ["49", "-1", "1.", ".1", "1..2", "a", "1,2", "٣", "1" * 40, "0x1"])
    def test_what_is_no_place_is_refused(self, text):
        with pytest.raises(OptionError, match="expected numbers of places, each from 0 to 48, joined by dots"):
            absent_places(text, 49)

    def test_twice_is_once(self):
        assert absent_places("3.3.1", 49) == [1, 3]
