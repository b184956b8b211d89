"""The tab Fidelity, against the library."""

from __future__ import annotations

import re
from io import BytesIO
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers import colour_network
from helpers.networks import Once
from helpers.planted_networks import Plan, Planted
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, rows_of, text_of
from shapleycam import Explainer, Network, Preprocess, values
from shapleycam.errors import OptionError
from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error
from shapleycam.web import played_game as playing
from shapleycam.web.error_curve import error_curve
from shapleycam.web.job import Cancelled
from shapleycam.web.played_game import played_game
from shapleycam.web.views import fidelity
from shapleycam.web.views.fidelity import Score, scores_of, tolerance_of, verdict_of


@pytest.fixture(scope="module")
def explainer():
    return Explainer(colour_network.network(), layer="body", device="cpu")


@pytest.fixture(scope="module")
def game(explainer):
    return explainer.game(HOPPER, utility="log_probability")


@pytest.fixture(scope="module")
def states():
    views = Views(colour_network.network())
    begun, drawing, *states = views.states("fidelity", layer="body", utility="log_probability", error="0.1")
    assert text_of(begun) == f"{len(playing.METHODS_MEASURED)} methods are computed …"
    assert text_of(drawing) == "The first random orders are drawn …"
    return states


def count_draws(monkeypatch):
    """Return a list that gets the number of samples that are drawn each time from now on."""
    drawn, original = [], playing.marginal_contributions

    def counted(*args):
        for block in original(*args):
            drawn.append(block.shape[1])
            yield block

    monkeypatch.setattr(playing, "marginal_contributions", counted)
    return drawn


def orders_of(html):
    return int(re.search(r'data-orders="(\d+)"', html)[1])


class TestAnswer:
    def test_the_error_shrinks_until_it_is_small_enough(self, states):
        steps = [re.search(r'data-orders="(\d+)" data-error="([\d.e-]+)" data-done="(\w+)"', html) for html in states]
        orders, errors = [int(step[1]) for step in steps], [float(step[2]) for step in steps]
        assert len(states) > 2
        assert orders == list(playing.ORDERS[: len(orders)])
        assert all(error > 0.001 for count, error in zip(orders[:-1], errors, strict=False) if count >= 32)
        assert errors[-1] <= 0.001
        assert [step[3] for step in steps] == ["no"] * (len(steps) - 1) + ["yes"]

    def test_each_method_is_measured_against_the_true_values(self, states, explainer, game):
        true = values.permutation(game, tolerance=0.001, seed=5).values
        rows = {method: figures for method, *figures in rows_of(states[-1])}
        for method in ("gradcam", "shapleycam", "pathcam-h", "hirescam"):
            own = explainer.explain(HOPPER, method, utility="log_probability").values.flatten(1).double()
            error, rank, gap = rows[method]
            assert float(error.rstrip("%")) / 100 == pytest.approx(float(relative_error(own, true)), abs=0.005)
            assert float(rank) == pytest.approx(float(rank_correlation(own, true)), abs=0.01)
            expected_gap = float(efficiency_gap(own, game.grand.double()))
            assert float(gap.strip("<%")) / 100 == pytest.approx(expected_gap, abs=0.001)
        error, rank, gap = rows["layercam"]
        assert (error, gap) == ("no units", "no units")
        assert -1 <= float(rank) <= 1
        in_units = [float(error.strip("<%")) for _, error, _, _ in rows_of(states[-1]) if "%" in error]
        assert in_units == sorted(in_units)
        assert "sampledshapley" not in rows  # it would be measured against its like

    def test_the_first_sentence_and_what_is_shared_out(self, states, game):
        said = text_of(states[-1])
        assert re.match(r"After \d+ random orders the shares of \w+ are known to 0\.\d+%\. pathcam-h is", said)
        assert facts_of(states[-1])["To share out"] == f"{float(game.grand[0]):.4g} of log_probability"
        assert "sampling goes on to 0.10%" in text_of(states[0])

    def test_each_method_leads_to_its_explanation(self, states):
        links = re.findall(r'<a href="explain\?([^"]*)">([^<]*)</a>', states[-1])
        assert len(links) == len(rows_of(states[-1]))
        for address, method in links:
            assert f"method={method.replace('+', '%2B')}" in address
            assert "layer=body" in address

    def test_it_is_the_same_whoever_looked_before(self, states):
        views = Views(colour_network.network())
        question = {"layer": "body", "utility": "log_probability"}
        views.states("fidelity", **question, error="1")
        views.states("coalitions", **question)
        assert views.states("fidelity", **question, error="0.1")[2:] == states

    def test_the_map_is_of_these_orders(self):
        views = Views(colour_network.network())
        pictures = [
            np.asarray(Image.open(BytesIO(views.picture("sampled", layer="body", part=part)))) for part in ("32", "512")
        ]
        resolved = views.resolved(layer="body")
        game = played_game(resolved).game
        true = values.permutation(game, tolerance=0.005, seed=3).values
        largest = true.abs().argmax()
        row, column = divmod(int(largest), 7)
        for picture in pictures:
            assert picture.shape == (56, 56, 4)
            red, _, blue, _ = picture[row * 8 + 4, column * 8 + 4].astype(int)
            assert (red > blue) == bool(true[0, largest] > 0)
        assert not np.array_equal(*pictures)
        with pytest.raises(OptionError, match="part in the address is '33'; expected one of 8, 16"):
            views.picture("sampled", layer="body", part="33")


class TestSampling:
    def test_who_leaves_ends_it_and_who_comes_back_goes_on(self, monkeypatch):
        question = {"layer": "body", "utility": "log_probability", "error": "0.05"}
        expected = Views(colour_network.network()).states("fidelity", **question)
        drawn = count_draws(monkeypatch)
        views, calls = Views(colour_network.network()), []

        def leave_after_some():
            calls.append(1)
            if len(calls) > 8:
                raise Cancelled

        with pytest.raises(Cancelled):
            views.states("fidelity", leave_after_some, **question)
        assert 0 < len(drawn) < 9
        assert views.states("fidelity", **question) == expected
        assert sum(drawn) == orders_of(expected[-1]) // 4  # none twice

    def test_two_who_watch_share_the_samples(self, monkeypatch):
        drawn = count_draws(monkeypatch)
        views, answers = Views(colour_network.network()), {}

        def watch(name):
            answers[name] = views.states("fidelity", layer="body", error="0.5")

        threads = [Thread(target=watch, args=(name,)) for name in ("one", "other")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers["one"] == answers["other"]
        assert sum(drawn) == orders_of(answers["one"][-1]) // 4

    def test_where_it_takes_too_long_it_stops_and_says_so(self, monkeypatch):
        monkeypatch.setattr(fidelity, "ORDERS", (32, 64))
        states = Views(colour_network.network()).states(
            "fidelity", layer="stem", utility="log_probability", error="0.01"
        )
        assert len(states) == 2 + 2  # what is done before the first orders
        said = text_of(states[-1])
        assert "not to 0.01% as asked: this page draws no more. Allow a larger error" in said
        assert 'data-done="yes"' in states[-1]
        assert "8 x 8 regions, since the layer has 14 x 14 cells" in said

    def test_few_players_have_exact_values(self):
        network = colour_network.network()
        small = Network(network.model, Preprocess(24, (24, 24), (0.5,) * 3, (0.25,) * 3), network.labels, "small")
        html = Views(small).states("fidelity", layer="body")[-1]
        explainer = Explainer(small, layer="body", device="cpu")
        true = values.exact(explainer.game(HOPPER)).values
        own = explainer.explain(HOPPER, "gradcam").values.flatten(1).double()
        (gradcam,) = [row for row in rows_of(html) if row[0] == "gradcam"]
        assert float(gradcam[1].rstrip("%")) / 100 == pytest.approx(float(relative_error(own, true)), abs=6e-4)
        assert "are exact: all 512 coalitions were evaluated" in text_of(html)
        assert "standard error" not in text_of(html)

    def test_a_model_without_second_derivatives_has_the_other_methods(self):
        class Bent(nn.Module):
            def __init__(self):
                super().__init__()
                self.features = nn.Conv2d(3, 6, 8, stride=8)
                self.fc = nn.Linear(6, 3)

            def forward(self, x):
                return self.fc(Once.apply(torch.tanh(self.features(x))).mean((2, 3)))

        torch.manual_seed(0)
        preprocess = Preprocess(56, (56, 56), (0.5,) * 3, (0.25,) * 3)
        html = Views(Network(Bent().eval(), preprocess, None, "bent")).states("fidelity", layer="features")[-1]
        assert "This model has no second derivatives, which these methods need: shapleycam" in text_of(html)
        names = [row[0] for row in rows_of(html)]
        assert "gradcam" in names
        assert "shapleycam" not in names
        assert "pathcam-h is the nearest method" in text_of(html)

    def test_prefix_tokens_are_said(self):
        plan = Plan("tokens", (4, 4), prefix=1)
        preprocess = Preprocess(16, (16, 16), (0.0,) * 3, (1.0,) * 3)
        html = Views(Network(Planted(plan).eval(), preprocess, None, "planted")).states("fidelity", layer="cells")[-1]
        assert facts_of(html)["Prefix tokens"].endswith("of that, without a place in the image")
        assert facts_of(html)["Places"] == "4 x 4, the layer's cells"


class TestScores:
    def test_by_pencil(self):
        true, grand = torch.tensor([[3.0, 4.0]]).double(), torch.tensor([7.0])
        by_method = {
            "gradcam": torch.tensor([[3.0, 0.0]]),  # 4 of 5 off, 3 of 7
            "layercam": torch.tensor([[0.1, 0.2]]),  # the order alone
            "hirescam": torch.tensor([[3.0, 4.5]]),  # a tenth off, 7.5 of 7
        }
        nearest, far, ranked = scores_of(by_method, true, grand)
        assert nearest == Score("hirescam", pytest.approx(0.1), pytest.approx(1), pytest.approx(0.5 / 7))
        assert far == Score("gradcam", pytest.approx(0.8), pytest.approx(-1), pytest.approx(4 / 7))
        assert ranked == Score("layercam", None, pytest.approx(1), None)

    def test_what_means_nothing_is_left_out(self):
        (score,) = scores_of({"gradcam": torch.ones(1, 2)}, torch.zeros(1, 2).double(), torch.zeros(1))
        assert score == Score("gradcam", None, None, None)

    def test_in_words(self):
        scores = [
            Score("pathcam", 0.01, 1.0, 0.0),
            Score("gradcam", 0.25, 0.9, 0.1),
            Score("layercam", None, 0.8, None),
        ]
        assert verdict_of(scores, "gradcam") == "gradcam is off by 25.0%; the nearest method, pathcam, by 1.0%."
        assert verdict_of(scores, "pathcam") == "pathcam is the nearest method, off by 1.0%."
        assert verdict_of(scores, "layercam").startswith("The numbers of layercam have no units, only an order")
        assert verdict_of(scores, "exactshapley") == "The nearest method is pathcam, off by 1.0%."
        assert verdict_of(scores[2:], "layercam") == ""


class TestAddress:
    @pytest.mark.parametrize(("text", "tolerance"), [("", 0.005), ("0.1", 0.001), ("100", 1), ("1e0", 0.01)])
    def test_the_error_in_percent(self, text, tolerance):
        assert tolerance_of(text) == pytest.approx(tolerance)

    @pytest.mark.parametrize("text", ["0", "-1", "101", "nan", "inf", "half", "0.5%", "1,5"])
    def test_another_one_is_refused(self, text):
        with pytest.raises(OptionError, match=f"error in the address is {re.escape(repr(text))}; expected percent"):
            tolerance_of(text)


class TestCurve:
    def test_its_ends_hold_the_error_and_the_goal(self):
        curve = error_curve([(32, 0.3), (64, 0.04)], 0.004, (32, 4096))
        texts = [mark.text for mark in curve.down]
        assert texts[0] == "50%"
        assert float(texts[-1].rstrip("%")) >= 0.2
        heights = [y for _, y in curve.points]
        assert 0 <= heights[0] < heights[1] < curve.goal <= curve.height

    def test_no_error_at_all(self):
        curve = error_curve([(32, 0.0)], 0.005, (32, 4096))
        assert all(0 <= y <= curve.height for _, y in curve.points)

    def test_more_than_all(self):
        curve = error_curve([(32, 7.0)], 0.005, (32, 4096))
        assert curve.points[0][1] == 0
