"""Smoothing, colours and top shares of the page's maps: in answers, pictures and downloads, and in one line refused."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, text_of
from shapleycam import Explainer
from shapleycam.drawing.colour_bars import bar_picture
from shapleycam.drawing.map_style import MapStyle
from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.pictures import DrawnMap, lines
from shapleycam.smoothing import SMOOTHINGS
from shapleycam.web.compared import compared_by
from shapleycam.web.explained import explained

QUESTION = {"method": "hirescam", "target": "blue"}


@pytest.fixture(scope="module")
def views() -> Views:
    return Views(colour_network.network())


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(colour_network.network(), device="cpu")


def test_explain_smooths_as_the_library_does_and_says_so(views, explainer, tmp_path):
    expected = explainer.explain(HOPPER, "hirescam", target=3, smooth="augment")
    e = explained(views.resolved(**QUESTION, smooth="augment")).explanation
    assert torch.equal(e.values, expected.values)
    assert not torch.equal(explained(views.resolved(**QUESTION)).explanation.values, e.values)
    html = views.states("explain", **QUESTION, smooth="augment")[-1]
    assert "The map is smoothed by augment: its values divide no score" in text_of(html)
    assert "the numbers of a smoothed map ? have no units" in text_of(html)
    assert facts_of(html)["Smoothing"] == f"augment: {SMOOTHINGS['augment'].summary}; the values divide no score"
    assert "Efficiency gap" not in facts_of(html)
    (tmp_path / "x.npz").write_bytes(views.picture("numbers.npz", **QUESTION, smooth="augment"))
    assert Explanation.load(tmp_path / "x.npz").smooth == ("augment",)
    assert json.loads(views.picture("summary.json", **QUESTION, smooth="augment"))["smooth"] == ["augment"]


@pytest.mark.slow
def test_compare_smooths_and_names_what_cannot_be(views, explainer):
    question = {"methods": "other-values-of-the-game", "target": "blue", "smooth": "noise"}
    html = views.states("compare", **question)[-1]
    assert "All maps are smoothed by noise: their values divide no score." in text_of(html)
    made = compared_by(views.resolved(**question), "leaveoneout")
    assert torch.equal(made.values, explainer.explain(HOPPER, "leaveoneout", target=3, smooth="noise").values)
    assert "smoothed" not in views.states("compare", methods="gradcam")[-1]
    mixed = views.states("compare", methods="all", smooth="eigen")[-1]
    assert "sampledshapley" in text_of(mixed).split("Not shown")[1]


def test_compare_is_grouped_by_family(views):
    html = views.states("compare")[-1]
    headings = ("<h3>First order: one gradient: fast</h3>", "<h3>Second order: ", "<h3>Baseline: ")
    places = [html.index(heading) for heading in headings]
    assert places == sorted(places)
    assert places[0] < html.index(">layercam<") < places[1] < places[2] < html.index(">randomcam<")


@pytest.mark.slow
def test_pictures_and_downloads_have_the_style_of_the_address(views, explainer):
    style = {"colours": "viridis", "top_value": "0.5"}
    e = explainer.explain(HOPPER, "hirescam", target=3)
    for kind in ("heatmap", "values"):
        shade = Image.open(BytesIO(views.picture(kind, **QUESTION, **style)))
        expected = e.shade(kind=kind, colours="viridis", top_value=0.5)
        shown = np.asarray(expected)[..., 3] > 0
        assert np.array_equal(np.asarray(shade)[shown], np.asarray(expected)[shown])
        assert not (np.asarray(shade)[~shown, 3]).any()
        download = Image.open(BytesIO(views.picture(f"{kind}.png", **QUESTION, **style)))
        assert np.array_equal(np.asarray(download), np.asarray(e.overlay(kind=kind, colours="viridis", top_value=0.5)))
        bar = Image.open(BytesIO(views.picture(f"{kind}-bar", **QUESTION, **style))).convert("RGB")
        drawn = bar_picture(kind, *bar.size, opacity=1.0, style=MapStyle("viridis"))
        assert np.abs(np.asarray(bar).astype(int) - np.asarray(drawn)).max() < 40  # a lossy picture
    card = views.picture("card", **QUESTION, **style)
    assert card != views.picture("card", **QUESTION)
    assert views.picture("figure.png", **QUESTION, **style) != views.picture("figure.png", **QUESTION)


def test_the_answer_says_which_places_are_shown_and_has_the_bars_of_the_colours(views):
    html = views.states("explain", **QUESTION, colours="viridis", top_value="0.5")[-1]
    assert "Shown: the fewest places that hold 50% of the positive value." in text_of(html)
    assert "Shown: the fewest places that hold 50% of the value of either sign." in text_of(html)
    assert html.count("-bar") == 2
    assert "colours=viridis" in html
    plain = views.states("explain", **QUESTION)[-1]
    assert "Shown: the" not in text_of(plain)
    assert "-bar" not in plain


def test_contours_lie_where_the_library_draws_them(views, explainer):
    e = explainer.explain(HOPPER, "hirescam", target=3)
    for kind in ("heatmap", "values"):
        plain, lined = (
            np.asarray(Image.open(BytesIO(views.picture(kind, **QUESTION, contours=number)))) for number in ("", "4")
        )
        assert max(lined.shape) >= 640 > max(plain.shape)
        over = lines(e, DrawnMap(kind=kind, style=MapStyle(contours=4))).draw(lined.shape[1::-1])
        is_line = np.asarray(over)[..., 3] == 255
        assert is_line.any()
        assert np.array_equal(lined[is_line], np.asarray(over)[is_line])
    html = views.states("explain", **QUESTION, contours="4")[-1]
    assert "4 contours at equal steps of the scale on each side of zero." in text_of(html)
    assert "contours=4" in html


def test_what_speaks_against_the_class_is_shown_where_it_is_asked_for(views, explainer):
    e = explainer.explain(HOPPER, "hirescam", target=3)
    for kind in ("heatmap", "values"):
        shade = Image.open(BytesIO(views.picture(kind, **QUESTION, sign="negative")))
        shown, expected = np.asarray(shade), np.asarray(e.shade(kind=kind, sign="negative"))
        assert np.array_equal(shown[..., 3], expected[..., 3])
        assert np.array_equal(shown[shown[..., 3] > 0], expected[shown[..., 3] > 0])
    html = views.states("explain", **QUESTION, sign="negative")[-1]
    assert "Where the evidence against blue is. Negative values alone." in text_of(html)
    assert "heatmap for blue by hirescam: what speaks against the class" in html
    assert "_negative_heatmap.png" in html
    assert "_negative_numbers.npz" not in html
    strengths = (-e.values[0]).clamp(min=0)
    shares = json.loads(views.picture("heatmap-grid", **QUESTION, sign="negative"))["values"]
    assert shares[int(strengths.flatten().argmax())] in {">99%", "100%"}
    assert {shares[index] for index in (strengths.flatten() == 0).nonzero().flatten().tolist()} == {"0%"}


def test_a_map_of_a_sign_that_no_value_has_is_said_to_be_blank(views):
    against = text_of(views.states("explain", method="layercam", target="blue", sign="negative")[-1])
    assert "The map is blank: no place speaks against this class." in against


def test_compare_shows_the_sign_that_is_asked_for(views):
    html = views.states("compare", methods="first-order", target="blue", sign="negative")[-1]
    assert "what speaks against the class" in html
    assert "Negative values alone." in text_of(html)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"smooth": "blur"}, "smoothing blur is unknown; known are augment, eigen, noise"),
        ({"colours": "virids"}, "colour map 'virids' is unknown; did you mean 'viridis'"),
        ({"top_value": "x"}, "the share of the value in the address is 'x'; expected a number above 0 and up to 1"),
        ({"top_value": "nan"}, "the share of the value in the address is 'nan'; expected a number above 0"),
        ({"contours": "many"}, "the number of contours in the address is 'many'; expected a whole number from 0 to 50"),
        ({"contours": "51"}, "the number of contours in the address is '51'; expected"),
        ({"sign": "both"}, "the sign in the address is 'both'; expected positive, negative, or none for the usual"),
        ({"smooth": "eigen", "method": "leaveoneout"}, "smoothing eigen takes the first component"),
    ],
)
def test_refusals_are_in_the_words_of_the_page(views, fields, message):
    with pytest.raises(ShapleyCamError) as caught:
        views.states("explain", **{**QUESTION, **fields})
    words = views.resources.words_of(caught.value)
    assert message in words
    assert isinstance(caught.value, OptionError)
    assert "=" not in words
