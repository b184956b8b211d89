"""Owen values of the photograph's regions in Explain: coarse groups first, stopped and continued without loss."""

from __future__ import annotations

import re
from itertools import pairwise
from threading import Thread

import httpx
import pytest
import torch

from helpers import colour_network
from helpers.web_library import COLOURS
from helpers.web_server import HOPPER
from helpers.web_views import Views, facts_of, text_of
from shapleycam import Explainer
from shapleycam.errors import OptionError, ShapleyCamError
from shapleycam.web.explained import explained
from shapleycam.web.input_games import watched_input
from shapleycam.web.job import Cancelled
from shapleycam.web.panel import panel_boxes
from shapleycam.web.question import Question
from shapleycam.web.views import VIEWS

QUESTION = {"layer": "input", "method": "owen", "players": "4x4", "removal": "blur", "target": "blue"}
SAMPLED = QUESTION | {"players": "7x7"}
"""Of these not all groups have coalitions few enough to be counted."""
pytestmark = pytest.mark.filterwarnings("ignore::shapleycam.errors.ToleranceWarning")


@pytest.fixture
def views() -> Views:
    return Views(colour_network.network())


def from_library(method: str, players: tuple[int, int], runs: int):
    explainer = Explainer(colour_network.network(), layer="input", removal="blur", device="cpu")
    return explainer.explain(HOPPER, method, 3, players=players, runs=runs)


def running(states: list[str]) -> dict[int, str]:
    """The running states by the runs that they are of."""
    return {int(found[1]): html for html in states if (found := re.search(r'data-runs="(\d+)"', html))}


@pytest.mark.parametrize(("question", "side", "runs"), [(QUESTION, 4, 1000), (SAMPLED, 7, 700)])
def test_the_answer_is_the_librarys_with_as_many_runs(views, question, side, runs):
    expected = from_library("owen", (side, side), runs)
    e = explained(views.resolved(**question, runs=str(runs))).explanation
    assert e.method == "owen"
    torch.testing.assert_close(e.values, expected.values, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(e.stderr, expected.stderr, rtol=1e-3, atol=1e-8)
    torch.testing.assert_close(e.heatmap, expected.heatmap, rtol=0, atol=1e-4)
    assert (e.notes, e.regions.tolist()) == (expected.notes, expected.regions.tolist())


def test_the_first_picture_is_of_groups_which_then_are_divided(views):
    states = running(views.states("explain", **QUESTION))
    assert list(states)[:2] == [14, 14 + 2**3 * 14]  # 2 x 2 groups; then one of them, behind and before the 3 others
    assert "What 4 groups of 4 x 4 regions of the photograph are worth for" in text_of(states[14])
    assert "so far: known exactly" in text_of(states[14])
    assert 'href="explain?layer=input&amp;class=blue&amp;removal=blur&amp;method=owen' in states[14]
    assert "runs=14of1000" in states[14]
    assert "7 groups of 4 x 4 regions" in text_of(states[126])


def test_groups_have_the_shapley_values_of_their_own_game(views):
    expected = from_library("exactshapley", (2, 2), 1000)
    made = explained(views.resolved(**QUESTION, runs="14of1000"))
    e = made.explanation
    assert (made.players, made.regions) == (4, "4 groups of 4 x 4 regions")
    torch.testing.assert_close(e.values, expected.values, rtol=1e-4, atol=1e-8)
    assert e.stderr.unique().tolist() == [0]
    assert [len(e.regions.unique()), len(e.region_values())] == [4, 4]


def test_parts_of_a_group_have_their_own_values_as_soon_as_it_was_divided(views):
    whole = explained(views.resolved(**QUESTION)).explanation.values[0]
    half_done = explained(views.resolved(**QUESTION, runs="238of1000")).explanation
    torch.testing.assert_close(half_done.values[0, :28], whole[:28])
    below = half_done.values[0, 28:]
    assert [len(part.unique()) for part in below.chunk(2, 1)] == [1, 1]
    assert float(below[:, :28].sum()) == pytest.approx(float(whole[28:, :28].sum()), rel=1e-4)


def evaluated_by(game, monkeypatch) -> list[int]:
    """The numbers of coalitions of each call of a game."""
    counts: list[int] = []
    value = game.value

    def counted(coalitions, images):
        counts.append(len(coalitions))
        return value(coalitions, images)

    monkeypatch.setattr(game, "value", counted)
    return counts


def test_who_stops_or_goes_on_has_no_run_made_again(views, monkeypatch):
    refined = watched_input(views.resolved(**QUESTION))
    counts = evaluated_by(refined.game, monkeypatch)
    stopped = views.states("explain", **QUESTION, runs="14of1000")
    assert sum(counts) == 14
    assert "After 14 runs the standard error is 0.0% of the values" in text_of(stopped[-1])
    assert "Go on to the 1,000 runs planned" in text_of(stopped[-1])
    assert facts_of(stopped[-1])["Players"].startswith("4 groups of 4 x 4 regions")
    for runs in ("", "5000", "126of1000"):
        views.states("explain", **QUESTION, runs=runs)
    assert sum(counts) == 462
    last = views.states("explain", **QUESTION)[-1]
    assert "The map has 4 x 4 regions, each with a value that its places share evenly; these are exact" in text_of(last)
    assert "Go on to" not in text_of(last)


def test_work_that_nobody_waits_for_ends_soon_and_goes_on_later(views, monkeypatch):
    counts = evaluated_by(watched_input(views.resolved(**SAMPLED)).game, monkeypatch)
    looks = []

    def check() -> None:
        looks.append(sum(counts))
        if looks[-1] >= 150:
            raise Cancelled

    with pytest.raises(Cancelled):
        views.states("explain", check, **SAMPLED, runs="700")
    made = sum(counts)
    assert 150 <= made <= 150 + 16
    e = explained(views.resolved(**SAMPLED, runs="700")).explanation
    assert max(counts) <= 16
    torch.testing.assert_close(e.values, from_library("owen", (7, 7), 700).values, rtol=1e-4, atol=1e-8)
    notes = int(re.search(r"after ([\d,]+) runs", e.notes[0][0])[1].replace(",", ""))
    assert sum(counts) == notes


def test_each_state_has_its_own_number_of_runs_and_its_own_picture(views):
    resolved = views.resolved(**SAMPLED)
    watched = watched_input(resolved)
    steps = list(watched.steps(resolved.run_plan, lambda: None))
    runs = [step.runs for step in steps]
    assert all(first < second for first, second in pairwise(runs[:-1]))  # the last may be of runs that were made before
    for step in steps:
        assert float(step.shares.values.sum()) == pytest.approx(float(watched.game.grand), abs=1e-5)
    pictures = [views.picture("values", **SAMPLED, part=str(part)) for part in (runs[0], runs[-1])]
    assert pictures[0] != pictures[1]
    sampled = [step for step in steps if step.players.count == 49]
    assert 0 < sampled[-1].error < sampled[0].error
    with pytest.raises(OptionError, match=r"part in the address is '15'; expected the runs"):
        views.picture("values", **SAMPLED, part="15")


def test_a_stopped_sampling_by_orders_is_of_its_own_runs(views):
    fields = QUESTION | {"method": "sampledshapley", "players": "2x3"}
    one, other = (explained(views.resolved(**fields, runs=runs)).explanation for runs in ("60of1000", "60"))
    assert torch.equal(one.values, other.values)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"runs": "62of"}, "runs in the address are '62of'; expected a whole number from 1 to 20,000, or two such as"),
        ({"runs": "2000of1000"}, "runs in the address are '2000of1000'; expected"),
        ({"runs": "13of1000"}, "13 runs of the model are too few for a first state of 1,000; allow more in the box"),
        ({"players": "8x8", "runs": "250"}, "takes 756 coalitions at least with 64 players"),
    ],
)
def test_refusals_are_in_the_words_of_the_page(views, fields, message):
    with pytest.raises(ShapleyCamError) as caught:
        views.states("explain", **QUESTION | fields)
    words = views.resources.words_of(caught.value)
    assert message in words
    assert "=" not in words


def test_the_box_of_runs_says_where_it_was_stopped():
    made = panel_boxes(Question(layer="input", runs="62of1000"), ["one"], VIEWS["explain"].fields)
    (box,) = [box for box in made if box.name == "runs"]
    chosen = [option for options in box.groups.values() for option in options if option.is_chosen]
    assert [(option.value, option.text) for option in chosen] == [("62of1000", "62 of 1,000, where it was stopped")]


def states_of(address: str, **fields: str) -> list[str]:
    """The states of an answer as a server sends them."""
    fields = {"class" if name == "target" else name: value for name, value in fields.items()}
    with httpx.stream("GET", f"{address}/answer/explain", params=fields | {"model": COLOURS}, timeout=60) as response:
        text = response.read().decode()
    return [event.replace("data: ", "") for event in text.split("\n\n") if event.startswith("data: ")]


def test_a_server_sends_each_visitor_the_states_of_the_own_question(plain_server):
    """Two at the same time, of the same game but another class: each state is of the class that was asked for."""
    received: dict[str, list[str]] = {}

    def ask(target: str) -> None:
        received[target] = states_of(plain_server.address, **QUESTION | {"target": target})

    visitors = [Thread(target=ask, args=(target,)) for target in ("blue", "redder")]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    for target in ("blue", "redder"):
        states = running(received[target])
        assert len(states) >= 1
        assert {re.search(r'data-label="([^"]*)"', html)[1] for html in states.values()} == {target}
        assert all(f"class={target}" in html for html in states.values())
        assert f"<strong>{target}</strong>" in received[target][-1]
        assert "After 462 runs the standard error is 0.0% of the values" in text_of(received[target][-1])


@pytest.mark.slow
def test_in_a_browser_it_is_stopped_goes_on_and_never_shows_the_question_before(visit):
    """That no state of another question than the address's is ever shown, `visit` checks."""
    visitor = visit()
    fields = "layer=input&method=owen&players=12x12&runs=20000"
    visitor.page.goto(f"{visitor.address}/explain?model={COLOURS}&{fields}")
    running_answer = visitor.page.locator("article.running")
    running_answer.wait_for()
    before = running_answer.get_attribute("data-label")
    visitor.pick("class", "blue" if before != "blue" else "red")
    visitor.page.wait_for_url(re.compile("class="))
    running_answer.wait_for()
    assert running_answer.get_attribute("data-label") != before
    visitor.page.locator("a.stop").click()
    visitor.page.wait_for_url(re.compile(r"runs=\d+of20000"))
    visitor.page.locator("#answer > [data-state=done]").wait_for()
    runs = int(re.search(r"runs=(\d+)of", visitor.page.url)[1])
    text = visitor.page.locator("#answer").inner_text()
    assert f"After {runs:,} runs the standard error is" in text
    assert "Go on to the 20,000 runs planned" in text
