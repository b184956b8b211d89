"""The photograph itself in Explain: a running picture of its regions' values, stopped and continued without loss."""

from __future__ import annotations

import json
import re
from html import unescape
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import colour_network
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, text_of
from shapleycam import Explainer
from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.explanations.explanation import Explanation
from shapleycam.web.explained import explained
from shapleycam.web.frame import frame_content
from shapleycam.web.input_games import watched_input
from shapleycam.web.job import Cancelled
from shapleycam.web.panel import panel_boxes
from shapleycam.web.player_choices import RunPlan
from shapleycam.web.question import Question
from shapleycam.web.site import Site
from shapleycam.web.views import VIEWS

QUESTION = {"layer": "input", "players": "2x3", "removal": "blur", "target": "blue"}
A_SAMPLE = 4 * 5
"""Runs of the model: four orders of six regions, whose beginnings of one to five are evaluated."""
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ToleranceWarning")


@pytest.fixture
def views() -> Views:
    return Views(colour_network.network())


def from_library(runs: int) -> Explanation:
    explainer = Explainer(colour_network.network(), layer="input", removal="blur", device="cpu")
    return explainer.explain(HOPPER, "sampledshapley", 3, players=(2, 3), runs=runs)


def test_the_answer_is_the_librarys_with_as_many_runs(views):
    expected = from_library(110)
    e = explained(views.resolved(**QUESTION, runs="110")).explanation
    assert e.method == "sampledshapley"
    assert torch.allclose(e.values, expected.values, rtol=1e-4, atol=1e-8)
    assert torch.allclose(e.stderr, expected.stderr, rtol=1e-3, atol=1e-8)
    assert torch.allclose(e.heatmap, expected.heatmap, atol=1e-4)
    assert (e.notes, e.regions.tolist()) == (expected.notes, expected.regions.tolist())
    assert float(e.utility_removed) == pytest.approx(float(expected.utility_removed), abs=1e-5)


def test_states_run_from_the_third_sample_on_and_say_how_many_runs_are_left(views):
    *begun, third, fourth, last = views.states("explain", **QUESTION, runs="110")
    assert "The model is prepared" in text_of(begun[0])
    assert [re.search(r"(\d+) of 100 runs", text_of(state))[1] for state in begun[1:]] == ["20", "40"]
    for runs, state in ((60, third), (80, fourth)):
        assert f"{runs} of 100 runs of the model; at most" in text_of(state)
        assert f'href="explain?layer=input&amp;class=blue&amp;removal=blur&amp;players=2x3&amp;runs={runs}"' in state
        assert f"part={runs}&amp;kind=values" in state
    assert "a.stop" not in last
    assert "After 100 runs the standard error is" in text_of(last)
    assert "Go on to 500 runs" in text_of(last)
    assert facts_of(last)["Players"].startswith("2 x 3 regions")
    assert "What the model makes of a photograph with everything removed" in facts_of(last)


def test_who_stops_keeps_what_was_reached_and_no_run_is_made_again(views):
    views.states("explain", **QUESTION, runs="110")
    sampled = watched_input(views.resolved(**QUESTION))
    assert sampled.runs_drawn(RunPlan(1, 1)) == 5 * A_SAMPLE
    stopped = explained(views.resolved(**QUESTION, runs="60")).explanation
    assert sampled.runs_drawn(RunPlan(1, 1)) == 5 * A_SAMPLE
    assert torch.allclose(stopped.values, from_library(60).values, rtol=1e-4, atol=1e-8)
    explained(views.resolved(**QUESTION, runs="140"))
    assert watched_input(views.resolved(**QUESTION)) is sampled
    assert sampled.runs_drawn(RunPlan(1, 1)) == 7 * A_SAMPLE


def test_what_was_kept_is_not_shown_state_by_state(views):
    views.states("explain", **QUESTION, runs="110")
    states = views.states("explain", **QUESTION, runs="130")
    assert len([state for state in states if "article" in state and "running" in state]) == 1  # after 100 runs


def test_work_that_nobody_waits_for_ends_within_an_order_and_goes_on_later(views):
    orders = []

    def check() -> None:
        orders.append(1)
        if len(orders) > 12:
            raise Cancelled

    with pytest.raises(Cancelled):
        views.states("explain", check, **QUESTION, runs="20000")
    values = explained(views.resolved(**QUESTION, runs="110")).explanation.values
    assert torch.allclose(values, from_library(110).values, rtol=1e-4, atol=1e-8)


def test_pictures_of_a_state_are_of_its_runs_and_have_borders(views):
    pictures = [views.picture("values", **QUESTION, runs="110", part=part) for part in ("60", "80", "")]
    assert len(set(pictures)) == 3
    shade = np.array(Image.open(BytesIO(pictures[0])))
    assert max(shade.shape) >= 640
    assert (shade[336 // 2, 224 - 3 : 224 + 3, :3].min(1) > 215).any()  # a white line between columns
    assert Image.open(BytesIO(views.picture("photo", **QUESTION, runs="110"))).size == (512, 600)
    with pytest.raises(OptionError, match=r"part in the address is '61'; expected the runs of the model"):
        views.picture("values", **QUESTION, runs="110", part="61")


def test_a_place_is_read_as_its_region(views):
    html = views.states("explain", **QUESTION, runs="60")[-1]
    texts = {unescape(each) for each in re.findall(r'data-grid="([^"]*)"', html)}
    grid = next(each for each in map(json.loads, (text for text in texts if text.startswith("{"))) if "places" in each)
    e = from_library(60)
    numbers = np.repeat(grid["places"][::2], grid["places"][1::2]).reshape(grid["rows"], grid["columns"])
    assert np.array_equal(numbers, e.regions[0].numpy())
    by_number = sorted(e.region_values(), key=lambda region: region.region)
    shown = [float(text.split(" ± ")[0]) for text in grid["values"]]
    assert shown == pytest.approx([region.value for region in by_number], rel=6e-3, abs=1e-6)
    assert all(" ± " in text for text in grid["values"])


def test_downloads_are_of_what_was_reached(views, tmp_path):
    (tmp_path / "x.npz").write_bytes(views.picture("numbers.npz", **QUESTION, runs="60"))
    loaded = Explanation.load(tmp_path / "x.npz")
    assert torch.allclose(loaded.values, from_library(60).values, rtol=1e-4, atol=1e-8)
    assert Image.open(BytesIO(views.picture("figure.png", **QUESTION, runs="60"))).size[0] > 400


@pytest.mark.parametrize("players", ["superpixels:5", "SUPERPIXELS:5"])
def test_players_by_name(views, players):
    html = views.states("explain", layer="input", players=players, runs="60")[-1]
    assert facts_of(html)["Players"].startswith("5 superpixels of the layer's 56 x 56 places")


def test_regions_that_are_not_sure_are_counted(views):
    html = views.states("explain", **QUESTION, runs="60")[-1]
    unsure = sum(abs(each.value) < 2 * each.stderr for each in from_library(60).region_values())
    assert (f"Of {unsure} of the 6 regions not even the sign is sure" in text_of(html)) == (unsure > 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"players": "2by3"}, "players in the address are '2by3'; expected a grid such as 7x7, superpixels"),
        ({"players": "patches"}, "the model declares none; expected one size"),
        ({"players": "60x60"}, "players are a grid of 60 x 60 regions; expected 1 x 1 to 56 x 56"),
        ({"runs": "many"}, "runs in the address are 'many'; expected a whole number from 1 to 20,000"),
        ({"runs": "20001"}, "runs in the address are '20001'; expected a whole number from 1 to 20,000"),
        ({"players": "7x7", "runs": "575"}, "575 runs of the model are too few for 49 regions, whose values have a"),
        ({"layer": "body", "players": "superpixels"}, "are regions of the image, and layer 'body' is inside the model"),
    ],
)
def test_refusals_are_in_the_words_of_the_page(views, fields, message):
    with pytest.raises(ShapleyCamError) as caught:
        views.states("explain", **{"layer": "input", "method": "sampledshapley", **fields})
    words = views.resources.words_of(caught.value)
    assert message in words
    assert "=" not in words


def test_the_panel_offers_players_and_runs_where_the_layer_is_the_photograph():
    def boxes(**fields: str) -> dict[str, list[str]]:
        made = panel_boxes(Question(**fields), ["one"], VIEWS["explain"].fields)
        return {
            box.name: [option.value for options in box.groups.values() for option in options if option.is_chosen]
            for box in made
        }

    assert {"players", "runs"}.isdisjoint(boxes())
    at_input = boxes(layer="input")
    assert (at_input["players"], at_input["runs"], at_input["method"]) == ([""], [""], [""])
    others = boxes(layer="input", players="5x9", runs="980")
    assert (others["players"], others["runs"]) == (["5x9"], ["980"])
    assert boxes(layer="body", players="3x3")["players"] == ["3x3"]


@pytest.mark.slow
def test_in_a_browser_the_button_stops_and_the_address_has_the_runs(visit):
    visitor = visit()
    visitor.page.goto(f"{visitor.address}/explain?model=colour_network:network&layer=input&players=10x10&runs=20000")
    stop = visitor.page.locator("a.stop")
    stop.wait_for()
    stop.click()
    visitor.page.wait_for_url(re.compile(r"runs=(?!20000)\d+"))
    visitor.page.locator("#answer > [data-state=done]").wait_for()
    runs = int(re.search(r"runs=(\d+)", visitor.page.url)[1])
    assert f"After {runs:,} runs the standard error is" in visitor.page.locator("#answer").inner_text()
    visitor.page.locator(".stage[data-kind=values] svg").hover(position={"x": 150, "y": 150}, force=True)
    assert re.search(r"region \d+: .*±", visitor.page.locator(".stage[data-kind=values] output").inner_text())
    heat = visitor.page.locator(".stage[data-kind=heatmap]")  # of more places than an answer carries itself
    with visitor.page.expect_response(re.compile("kind=heatmap-grid")):
        heat.locator("svg").hover(position={"x": 150, "y": 150}, force=True)
    heat.locator("svg").hover(position={"x": 160, "y": 150}, force=True)
    assert re.search(r"row \d+, column \d+: \d+%", heat.locator("output").inner_text())


def offered_removals(views: Views, site: Site) -> list[str]:
    boxes = frame_content("explain", Question(), site, views.resources)["boxes"]
    (box,) = (box for box in boxes if box.name == "removal")
    return [option.value for options in box.groups.values() for option in options]


def test_reference_photographs_are_the_operators(views):
    with pytest.raises(OptionError, match=r"removal 'samples' takes reference photographs .* of this page gives none"):
        explained(views.resolved(**QUESTION | {"removal": "samples"}))
    assert "samples" not in offered_removals(views, Site())


def test_the_operators_photographs_stand_in_one_after_the_other(tmp_path):
    """Exact values of six regions are those of the library; sampled ones take two runs for each coalition."""
    photographs = [tmp_path / f"{name}.png" for name in "ab"]
    for photograph, colour in zip(photographs, ("red", "navy"), strict=True):
        Image.new("RGB", (80, 64), colour).save(photograph)
    views = Views(colour_network.network(), reference=photographs)
    assert "samples" in offered_removals(views, Site(reference=photographs))
    question = QUESTION | {"removal": "samples"}
    e = explained(views.resolved(**question, method="exactshapley")).explanation
    explainer = Explainer(
        colour_network.network(), layer="input", removal="samples", reference=photographs, device="cpu"
    )
    expected = explainer.explain(HOPPER, "exactshapley", 3, players=(2, 3))
    assert e.removal == expected.removal
    assert torch.allclose(e.values, expected.values, rtol=1e-4, atol=1e-8)
    [*_, last] = views.states("explain", **question, runs="200")
    described = "each of this page's reference photographs in turn"
    assert f"{e.removal}: {described}" in facts_of(last)["What stands in for absent places"]
    [*_, ladder] = views.states("ladder", **question | {"layer": ""}, layers="act")
    assert f"samples: {described}" in text_of(ladder)
