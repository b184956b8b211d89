"""The first tab: what it says is what the library computes, and its links lead to what they name."""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import replace
from html import unescape
from io import BytesIO
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, rows_of, text_of
from shapleycam import Explainer, Explanation
from shapleycam.errors import OptionError, TargetError
from shapleycam.utilities import contrast
from shapleycam.values import exact
from shapleycam.web.downloads import file_stem
from shapleycam.web.explain_content import odds_in_words
from shapleycam.web.map_stage import MapStage, grid_of_values

LABELS = [label.split(",")[0] for label in colour_network.LABELS]


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(colour_network.network())


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(colour_network.network(), device="cpu")


def answer(views: Views, **fields: str) -> str:
    return views.states("explain", **fields)[-1]


def sentence(html: str) -> str:
    return text_of(re.search(r'<p class="answer">(.*?)</p>', html, re.DOTALL)[1])


def links(html: str, text: str) -> list[dict[str, str]]:
    """Return the questions of the links to the first tab whose text has these words."""
    found = re.findall(r'<a[^>]*href="explain\??([^"]*)"[^>]*>(.*?)</a>', html, re.DOTALL)
    questions = [parse_qs(unescape(query)) for query, words in found if text in text_of(words)]
    return [{name: value[0] for name, value in question.items()} for question in questions]


def values_of(html: str, kind: str) -> list[str]:
    grid = re.search(rf'data-kind="{kind}"[^>]*data-grid="([^"]*)"', html)[1]
    return json.loads(unescape(grid))["values"]


class TestSentence:
    def test_the_predicted_class_and_its_probability(self, views, explainer):
        e = explainer.explain(HOPPER, "shapleycam")
        assert sentence(answer(views)) == f"The model says {e.label()} , {e.probabilities()[e.target[0]]:.0%}."

    def test_another_class_is_named_beside_the_predicted_one(self, views, explainer):
        probabilities = explainer.explain(HOPPER, "gradcam").probabilities()
        last = int(probabilities.argmin())
        predicted = LABELS[int(probabilities.argmax())]
        html = answer(views, target=str(last))
        assert sentence(html).startswith(
            f"The model says {predicted}, {probabilities.max():.0%}. It gives {LABELS[last]}"
        )

    def test_of_two_classes_it_says_how_many_times_as_likely(self, views, explainer):
        p = explainer.explain(HOPPER, "gradcam").probabilities()
        first, second = (int(c) for c in p.argsort(descending=True)[:2])
        said = sentence(answer(views, target=str(second), against=str(first), method="hirescam"))
        odds = float((p[second] / p[first]).log())
        assert said.startswith(f"Why {LABELS[second]} and not {LABELS[first]} ?")
        assert f"{LABELS[first]} {float(p[first] / p[second]):.2g} times as likely" in said
        assert f"log-odds {odds:+.3g})" in said

    def test_of_the_second_class_it_says_how_near_it_is(self, views, explainer):
        p = explainer.explain(HOPPER, "gradcam").probabilities().sort(descending=True)
        second = LABELS[int(p.indices[1])]
        assert 0.5 * p.values[0] < p.values[1]
        assert f"not sure: close behind comes {second} with {p.values[1]:.0%}." in text_of(
            answer(views, method="gradcam")
        )

    def test_where_several_classes_may_hold_none_is_instead_of_another(self, views):
        assert "comes" not in text_of(answer(views, method="gradcam", utility="sigmoid_rest")).split("Heatmap")[0]
        both = answer(views, method="gradcam", utility="sigmoid_rest", target="red", against="blue")
        assert "times as likely" not in both

    def test_odds(self):
        assert odds_in_words(0.3, 0.3) == (True, "as likely")
        assert odds_in_words(0.0, 0.3) == (False, "far likelier")
        assert odds_in_words(1.0, 0.001) == (True, "1,000 times as likely")


class TestNumbers:
    @pytest.mark.parametrize("method", ["gradcam", "shapleycam-h", "layercam"])
    def test_each_place_has_the_value_that_the_library_gives(self, views, explainer, method):
        e = explainer.explain(HOPPER, method, target=2)
        html = answer(views, method=method, target="green")
        shown = [float(text) for text in values_of(html, "values")]
        assert shown == pytest.approx(e.values[0].flatten().tolist(), rel=0.006, abs=1e-9)
        positive = e.values[0].clamp(min=0).flatten()
        shares = (positive - positive.min()) / (positive.max() - positive.min())
        for text, share in zip(values_of(html, "heatmap"), shares.tolist(), strict=True):
            assert float(text.strip("<>%")) == pytest.approx(100 * share, abs=1.01)

    def test_swapped_every_value_has_the_other_sign(self, views):
        there = values_of(answer(views, target="red", against="blue", method="hirescam"), "values")
        back = values_of(answer(views, target="blue", against="red", method="hirescam"), "values")
        assert [float(text) for text in there] == pytest.approx([-float(text) for text in back], rel=1e-6)

    def test_the_bar_names_both_classes_and_the_largest_value(self, views, explainer):
        e = explainer.explain(HOPPER, "hirescam", target=0, utility=contrast(3))
        html = answer(views, target="red", against="blue", method="hirescam")
        largest = f"{float(e.values.abs().max()):.2g}"
        bar = text_of(html.split('class="colours values"')[1].split("</div>")[0].split(">", 1)[1])
        assert bar == f"-{largest} for blue 0 +{largest} for red"

    def test_facts(self, views, explainer):
        e = explainer.explain(HOPPER, "hirescam", target=1)
        grand = float(explainer.game(HOPPER, 1).grand)
        facts = facts_of(answer(views, target="redder", method="hirescam"))
        assert facts["What is explained"] == f"rest: {float(e.utility):.4g}"
        assert facts["What there is to divide"] == f"{grand:.4g}, the values sum to {float(e.values.sum()):.4g}"
        gap = abs(float(e.values.sum()) - grand) / abs(grand)
        assert float(facts["Efficiency gap"].strip("<>%")) == pytest.approx(100 * gap, abs=0.06)

    @pytest.mark.parametrize(("layer", "side", "grid"), [("", 4, "7 x 7"), ("stem", 3, "14 x 14")])
    def test_exact_values_are_those_of_regions_more_where_a_shortcut_makes_them_cheap(self, layer, side, grid, views):
        at_layer = Explainer(colour_network.network(), layer=layer or "before-pool", device="cpu")
        game = at_layer.game(HOPPER, 1, players=(side, side))
        expected = exact(game).values.flatten().tolist()
        html = answer(views, target="redder", method="exactshapley", layer=layer)
        assert facts_of(html)["Players"] == f"{side} x {side} regions of the layer's {grid} places"
        assert (
            f"The map has {side} x {side} regions, each with a value that its places share evenly; "
            f"these are exact, over all {2 ** (side * side):,} coalitions of them. The layer's {grid} places by "
            "themselves would take too long."
        ) in text_of(html)
        assert [float(text) for text in values_of(html, "values")] == pytest.approx(expected, rel=6e-3, abs=1e-6)

    def test_exact_values_of_a_closed_form_need_no_regions(self, views, explainer):
        expected = exact(explainer.game(HOPPER, 1, "logit")).values.flatten().tolist()
        html = answer(views, target="redder", method="exactshapley", utility="logit")
        assert facts_of(html)["Players"] == "7 x 7, the layer's places"
        assert [float(text) for text in values_of(html, "values")] == pytest.approx(expected, rel=6e-3, abs=1e-6)

    @pytest.mark.filterwarnings("ignore::shapleycam.errors.ToleranceWarning")
    def test_at_the_input_there_are_as_many_regions_as_the_runs_of_the_model_resolve(self, views):
        html = answer(views, method="leaveoneout", layer="input", removal="blur")
        facts = facts_of(html)
        assert facts["Players"] == "31 x 31 regions of the layer's 56 x 56 places"
        assert facts["What stands in for absent places"] == "blur: the image under a Gaussian, at layer input"
        assert "each with a value that its places share evenly; each is computed by itself." in text_of(html)
        assert facts_of(answer(views, layer="input", runs="600"))["Players"].startswith("7 x 7 regions")

    def test_exact_values_end_where_nobody_waits(self, views):
        class LeftError(BaseException):
            pass

        def check() -> None:
            if any(frame.name == "exact" for frame in traceback.extract_stack()):
                raise LeftError

        with pytest.raises(LeftError):
            views.states("explain", check, method="exactshapley", target="blue")

    def test_the_players_are_said_where_they_are_the_places(self, views):
        html = answer(views, method="gradcam")
        assert facts_of(html)["Players"] == "7 x 7, the layer's places"
        assert "regions" not in html

    def test_a_grid_writes_values_as_people_read_them(self):
        values = torch.tensor([[0.5, -0.25], [0.0, 1.0]])
        assert json.loads(grid_of_values(values, "values")) == {
            "rows": 2, "columns": 2, "values": ["+0.5", "-0.25", "0", "+1"]
        }  # fmt: skip
        assert json.loads(grid_of_values(values, "heatmap"))["values"][:3] == ["50%", "0%", "0%"]

    def test_the_shade_lies_where_the_crop_is(self, views, explainer):
        left, top, right, bottom = explainer.explain(HOPPER, "gradcam").sources[0].box
        x, y, width, height = (float(number) for number in re.search(r'data-box="([^"]*)"', answer(views))[1].split())
        assert (x, y, width, height) == pytest.approx((left, top, right - left, bottom - top), abs=0.01)

    def test_a_small_crop_is_shown_by_itself_at_first(self):
        whole = MapStage("values", "", "", 400, 300, (50, 0, 300, 300), "", "", "", "")
        assert whole.view_box == (0, 0, 400, 300)
        assert replace(whole, width=4000).view_box == (50, 0, 300, 300)


class TestLinks:
    def test_each_likely_class_is_a_link_that_explains_it(self, views, explainer):
        p = explainer.explain(HOPPER, "gradcam").probabilities()
        ranked = [int(c) for c in p.argsort(descending=True)[:5]]
        html = answer(views, method="gradcam")
        assert [row[:2] for row in rows_of(html)] == [
            [f"{LABELS[c]}{' (explained)' if place == 0 else ''}", f"{p[c]:.1%}"] for place, c in enumerate(ranked)
        ]
        for c in ranked[1:]:
            (question,) = [
                each for each in links(html, LABELS[c]) if "against" not in each and each["class"] == LABELS[c]
            ]
            assert question == {"class": LABELS[c], "method": "gradcam"}

    def test_the_explained_class_is_listed_and_marked_however_unlikely(self, views, explainer):
        p = explainer.explain(HOPPER, "gradcam").probabilities()
        last = int(p.argmin())
        assert rows_of(answer(views, target=str(last)))[-1][:2] == [f"{LABELS[last]} (explained)", f"{p[last]:.1%}"]

    def test_one_click_asks_why_not_the_second(self, views, explainer):
        first, second = (
            int(c) for c in explainer.explain(HOPPER, "gradcam").probabilities().argsort(descending=True)[:2]
        )
        html = answer(views)
        (question,) = links(html.split('class="why"')[1].split("</p>")[0], "Why")
        assert question == {"class": LABELS[first], "against": LABELS[second]}

    def test_swap_and_alone(self, views):
        html = answer(views, target="red", against="blue", method="gradcam")
        why = html.split('class="why"')[1].split("</p>")[0]
        assert links(why, "Swap") == [{"class": "blue", "against": "red", "method": "gradcam"}]
        assert links(why, "whatever else") == [{"class": "red", "method": "gradcam"}]

    def test_a_better_method_is_a_link_that_does_it(self, views):
        hint = answer(views, method="layercam", target="red").split('class="hint"')[1].split("</p>")[0]
        assert "have no units" in hint
        assert links(hint, "shapleycam-h") == [{"class": "red", "method": "shapleycam-h"}]

    def test_the_random_map_is_said_to_be_random(self, views):
        assert "it says nothing of the photograph" in answer(views, method="randomcam")

    def test_labels_are_text(self, views):
        html = answer(views, target="5")
        assert "<b>bold" not in html
        assert "&lt;b&gt;bold" in html


def test_two_classes_of_one_name_are_told_apart():
    network = replace(colour_network.network(), labels=("crane", "crane", "green", "blue", "x", "y"))
    html = answer(Views(network), target="0", against="1", method="hirescam")
    assert sentence(html).startswith("Why crane (class 0) and not crane (class 1) ?")
    assert "crane-0-not-crane-1_hirescam" in html
    rows = {row[0]: row[3] for row in rows_of(html)}
    assert rows["crane (class 0) (explained)"] == ""
    assert rows["crane (class 1)"] == "compared"


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "error", "said"),
        [
            ({"target": "purple"}, TargetError, "class 'purple' is not among the model's 6 labels"),
            ({"target": "6"}, TargetError, "class 6 is out of range: the model has classes 0 to 5"),
            ({"target": "red", "against": "red"}, TargetError, "against itself"),
            ({"method": "gradcan"}, OptionError, "method 'gradcan' is unknown"),
            ({"utility": "lgit"}, OptionError, "utility 'lgit' is unknown"),
        ],
    )
    def test_one_line(self, views, fields, error, said):
        with pytest.raises(error) as caught:
            answer(views, **fields)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


class TestDownloads:
    @pytest.fixture
    def files(self, views):
        html = answer(views, target="red", against="blue", method="hirescam")
        found = re.findall(r'href="picture\?([^"]*)" download="([^"]*)"', html)
        return {unescape(name): parse_qs(unescape(query))["kind"][0] for query, name in found}

    def test_names_hold_the_method_and_both_classes(self, files):
        assert list(files) == [
            f"grace_hopper_red-0-not-blue-3_hirescam_{end}"
            for end in ("figure.png", "heatmap.png", "values.png", "numbers.npz", "summary.json")
        ]

    def test_a_name_is_one_that_every_system_takes(self, explainer):
        e = explainer.explain(HOPPER, "gradcam", target=5)
        assert file_stem(e, None) == "grace_hopper_b-bold-odd-b-5_gradcam"

    def test_each_is_what_it_is_called(self, views, files, explainer, tmp_path):
        e = explainer.explain(HOPPER, "hirescam", target=0, utility=contrast(3))
        contents = {
            kind: views.picture(kind, target="red", against="blue", method="hirescam") for kind in files.values()
        }
        (tmp_path / "x.npz").write_bytes(contents["numbers.npz"])
        assert torch.equal(Explanation.load(tmp_path / "x.npz").values, e.values)
        summary = json.loads(contents["summary.json"])
        assert (summary["explained"][0]["class"], summary["against"]) == (0, 3)
        for kind in ("heatmap", "values"):
            picture = Image.open(BytesIO(contents[f"{kind}.png"]))
            assert np.array_equal(np.asarray(picture), np.asarray(e.overlay(kind=kind)))
        assert Image.open(BytesIO(contents["figure.png"])).format == "PNG"


class TestRemoval:
    """What stands in for absent places is part of the question."""

    def test_the_values_are_the_librarys_and_it_is_said(self, views, explainer):
        question = {"layer": "stem", "method": "hirescam", "target": "redder"}
        zero, mean = (answer(views, **question, removal=name) for name in ("", "mean"))
        expected = explainer_at("stem").explain(HOPPER, "hirescam", "redder", removal="mean")
        assert [float(v) for v in values_of(mean, "values")] == pytest.approx(
            expected.values[0].flatten().tolist(), rel=6e-3, abs=1e-6
        )
        assert values_of(zero, "values") != values_of(mean, "values")
        assert facts_of(zero)["What stands in for absent places"] == "zero: the paper's"
        assert facts_of(mean)["What stands in for absent places"] == "mean: over the image's own positions"

    def test_the_numbers_to_keep_carry_it(self, views, tmp_path):
        (tmp_path / "e.npz").write_bytes(views.picture("numbers.npz", layer="stem", method="hirescam", removal="mean"))
        assert Explanation.load(tmp_path / "e.npz").removal == "mean"
        assert json.loads(views.picture("summary.json", layer="stem", removal="mean"))["removal"] == "mean"

    def test_links_keep_it(self, views):
        html = answer(views, layer="stem", method="gradcam", removal="mean")
        assert {question.get("removal") for question in links(html, "")} == {"mean"}

    def test_unknown(self, views):
        with pytest.raises(OptionError, match="removal 'men' is unknown; did you mean 'mean'"):
            answer(views, removal="men")


def explainer_at(layer: str) -> Explainer:
    return Explainer(colour_network.network(), layer=layer, device="cpu")
