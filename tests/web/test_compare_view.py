"""The second tab: each method's own map, identical ones once, and what cannot run with its reason."""

from __future__ import annotations

import re

import pytest
import torch

from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views, text_of
from shapleycam import METHODS, Explainer
from shapleycam.errors import OptionError, TargetError
from shapleycam.explanations.comparison import group_by_map
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.web.compared import compared_by, method_sets, methods_of

PAPER = [row.name for row in METHODS.values() if row.in_paper]


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(colour_network.network())


def cards_of(html: str) -> list[list[str]]:
    """Return the methods of each card."""
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    return [re.findall(r">([^<]*)</a>", re.search(r"<strong>(.*?)</strong>", each, re.DOTALL)[1]) for each in captions]


class TestCards:
    def test_the_papers_ten_each_once(self, views):
        html = views.states("compare")[-1]
        assert sorted(name for card in cards_of(html) for name in card) == sorted(PAPER)
        assert text_of(html).startswith("10 methods for ")

    @pytest.mark.filterwarnings("ignore::shapleycam.errors.NoCurvatureWarning")
    def test_behind_a_linear_head_gradcam_hirescam_and_xgradcam_are_one_map(self, views):
        html = views.states("compare", layer="act", utility="logit")[-1]
        (card,) = [card for card in cards_of(html) if "gradcam" in card]
        assert {"gradcam", "hirescam", "xgradcam"} <= set(card)
        assert f"{len(card)} methods, one and the same map here" in html

    def test_before_a_nonlinearity_they_are_not(self, views):
        cards = cards_of(views.states("compare", layer="body")[-1])
        assert not [card for card in cards if {"gradcam", "hirescam"} <= set(card)]

    def test_a_card_leads_to_explain_by_its_method(self, views):
        html = views.states("compare", methods="first-order", target="blue")[-1]
        assert 'href="explain?class=blue&amp;method=layercam&amp;methods=first-order"' in html

    def test_evidence_and_picture_are_those_of_the_library(self, views):
        e = Explainer(colour_network.network(), device="cpu").explain(HOPPER, "layercam", target=3)
        html = views.states("compare", methods="layercam", target="blue")[-1]
        phrase = describe_evidence(e.values[0])
        assert phrase[1:] in text_of(html)
        made = compared_by(views.resolved(methods="layercam", target="blue"), "layercam")
        assert torch.equal(made.values, e.values)
        assert views.picture("card", methods="layercam", target="blue", method="layercam")[8:12] == b"WEBP"

    def test_the_random_map_is_said_to_be_random(self, views):
        html = views.states("compare", methods="randomcam")[-1]
        assert "Random, for comparison: it says nothing of the photograph" in text_of(html)


class TestEqualMaps:
    def test_equal_to_a_millionth_is_equal(self):
        heatmap = Explainer(colour_network.network(), device="cpu").explain(HOPPER, "gradcam").heatmap
        almost, other = heatmap + 9e-7, heatmap.index_fill(2, torch.tensor([3]), 0.5)
        assert group_by_map({"a": heatmap, "b": other, "c": almost}) == [["a", "c"], ["b"]]


class TestSets:
    def test_each_is_a_set_of_the_table(self):
        sets = method_sets()
        assert sets["paper"] == PAPER
        assert sets["all"] == [row.name for row in METHODS.values() if "all" in row.sets]
        assert sets["field"] == [row.name for row in METHODS.values() if row.sets]
        assert sets["factorisation"] == ["eigencam", "eigengradcam", "kpcacam", "segeigencam", "fem"]
        assert sets["shapley-values"] == ["sampledshapley", "exactshapley"]

    @pytest.mark.parametrize("choice", ["second-order", "Second Order", "SECOND_ORDER"])
    def test_in_any_spelling(self, choice):
        assert methods_of(choice) == ["shapleycam", "shapleycam-h", "shapleycam-e", "shapleycam-x"]

    def test_one_method(self):
        assert methods_of("Grad-CAM") == ["gradcam"]

    def test_neither(self):
        with pytest.raises(
            OptionError, match=r"^methods .papers. are neither a set nor one method; did you mean .paper"
        ):
            methods_of("papers")


class TestRefused:
    def test_what_takes_too_long_is_said_with_a_link_that_does_it(self, views):
        html = views.states("compare", methods="shapley-values")[-1]
        assert cards_of(html) == [["sampledshapley"]]
        said = text_of(html.split("Not shown")[1])
        assert "exactshapley : takes too long for 49 places, at most 16" in said
        assert "method=exactshapley" in html

    def test_the_quick_ones_come_first(self, views):
        states = views.states("compare", methods="all", target="green")
        assert len(states) == 2
        assert "Now sampledshapley" in text_of(states[0])
        assert ["sampledshapley"] in cards_of(states[1])
        assert "Now sampledshapley" not in text_of(states[1])

    def test_what_has_no_second_derivative_is_said_and_the_others_are_shown(self):
        network = colour_network.network()
        network.model.act = _NoSecond()
        html = Views(network).states("compare", layer="body")[-1]
        shown = {name for card in cards_of(html) for name in card}
        assert shown == {name for name in PAPER if not METHODS[name].basis.needs_second_derivatives}
        said = html.split("Not shown")[1]
        assert all(f"<strong>{name}</strong>" in said for name in set(PAPER) - shown)

    def test_one_line_where_nothing_can_be_shown(self, views):
        with pytest.raises((TargetError, OptionError), match=r"^class 'purple' is not among the model's 6 labels"):
            views.states("compare", target="purple")


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        return 2 * context.saved_tensors[0] * gradient


class _NoSecond(torch.nn.Module):
    def forward(self, x):
        return _Square.apply(x)
