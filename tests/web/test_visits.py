"""Each tab used as a person would; what is shown is what the library says."""

from __future__ import annotations

import json
import re

import pytest
import torch
from PIL import Image

from helpers.web_library import COLOURS, explainer_of, percent, quiet, rows_of
from helpers.web_server import HOPPER
from shapleycam import Explanation, values
from shapleycam.experiments import Store
from shapleycam.utilities import contrast
from shapleycam.web.question import Question


class TestExplain:
    def test_the_example_is_answered_before_anything_is_done(self, visitor, explainer):
        visitor.page.goto(visitor.address)
        text = visitor.answer().inner_text()
        e = explainer.explain(HOPPER)
        assert f"The model says {e.label()}, {100 * float(e.probabilities(0)[e.target[0]]):.0f}%." in text
        grand = float(explainer.game(HOPPER).grand[0])
        facts = facts_of(visitor.answer())
        gap = abs(float(e.values.sum()) - grand) / grand
        (shown,) = [value for name, value in facts.items() if name.startswith("Efficiency gap")]
        assert percent(shown) == pytest.approx(gap, abs=1.1e-3), "below 0.1% it says so"

    def test_a_likely_class_is_chosen_by_its_link(self, visitor, library):
        answer = visitor.open("explain", model=COLOURS)
        order = explainer_of(COLOURS, "").explain(HOPPER).probabilities(0).argsort(descending=True).tolist()
        rows = answer.locator("table.classes tbody tr")
        assert [int(rows.nth(i).get_attribute("data-number")) for i in range(3)] == order[:3]
        rows.nth(1).get_by_role("link").first.click()
        visitor.page.wait_for_url("**class=**")
        answer = visitor.answer()
        library.check("explain", answer, visitor.question)
        assert int(answer.locator("article").get_attribute("data-target")) == order[1]

    def test_why_this_and_not_that_in_one_click_and_swapped(self, visitor, library):
        answer = visitor.open("explain", model=COLOURS)
        e = explainer_of(COLOURS, "").explain(HOPPER)
        logits = e.probabilities(0).log()
        first, second = logits.argsort(descending=True).tolist()[:2]
        for sign in (1, -1):
            before = visitor.page.url
            answer.get_by_role("link", name=re.compile(r"(Why|Swap: why) .* and not ")).first.click()
            visitor.page.wait_for_url(lambda url, before=before: url != before)
            answer = visitor.answer()
            library.check("explain", answer, visitor.question)
            shown = float(answer.locator("article").get_attribute("data-utility"))
            assert shown == pytest.approx(sign * float(logits[first] - logits[second]), abs=1e-4)  # log-odds

    def test_classes_of_the_same_name(self, visitor, explainer):
        """ImageNet has two cranes: the bird and the machine."""
        answer = visitor.open("explain", target="134", against="517")
        with quiet():
            e = explainer.explain(HOPPER, target=134, utility=contrast(517, "logit"))
        shown = float(answer.locator("article").get_attribute("data-utility"))
        assert shown == pytest.approx(float(e.utility[0]), rel=1e-4)
        answer.get_by_role("link", name=re.compile("Swap")).click()
        visitor.page.wait_for_url(lambda url: "class=517" in url)
        assert float(visitor.answer().locator("article").get_attribute("data-utility")) == pytest.approx(
            -float(e.utility[0]), rel=1e-4
        )

    def test_a_map_is_read_and_enlarged(self, visitor):
        answer = visitor.open("explain", model=COLOURS)
        e = explainer_of(COLOURS, "").explain(HOPPER)
        stage = answer.locator(".stage[data-kind=values]")
        stage.locator("svg").focus()
        visitor.page.keyboard.press("ArrowDown")  # begins in the middle
        visitor.page.keyboard.press("ArrowRight")
        said = stage.locator("output").inner_text()
        assert said.startswith("row 4, column 5: ")
        assert float(said.split()[4]) == pytest.approx(float(e.values[0, 3, 4]), rel=0.01)
        left, top, width, height = map(float, stage.get_attribute("data-box").split())
        box = stage.locator("svg").bounding_box()
        scale = box["width"] / float(stage.locator("svg").get_attribute("viewBox").split()[2])
        across, down = (left + width * 0.5 / 7) * scale, (top + height * 6.5 / 7) * scale
        visitor.page.mouse.move(box["x"] + across, box["y"] + down)
        said = stage.locator("output").inner_text()
        assert said.startswith("row 7, column 1: ")
        assert float(said.split()[4]) == pytest.approx(float(e.values[0, 6, 0]), rel=0.01)
        visitor.page.mouse.click(box["x"] + across, box["y"] + down)
        enlarged = visitor.page.locator("dialog[open] svg")
        assert enlarged.bounding_box()["width"] > 1.2 * box["width"]
        visitor.page.keyboard.press("Escape")
        visitor.page.locator("dialog").wait_for(state="detached")

    def test_the_opacity_and_what_is_shown(self, visitor):
        answer = visitor.open("explain", model=COLOURS)
        shade = answer.locator(".stage image.shade").first
        assert shade.evaluate("e => getComputedStyle(e).opacity") == "0.75"
        answer.get_by_label("Strength of the colours").fill("0.2")
        assert shade.evaluate("e => getComputedStyle(e).opacity") == "0.2"
        answer.get_by_label("the colours alone").check()
        assert not answer.locator(".stage image.photo").first.is_visible()

    def test_contours_and_the_sign_are_chosen_and_stay_in_the_address(self, visitor):
        visitor.open("explain", model=COLOURS)
        visitor.pick("contours", "4")
        visitor.change(contours="4")
        visitor.pick("sign", "negative")
        answer = visitor.change(contours="4", sign="negative")
        assert "Negative values alone; 4 contours" in answer.inner_text()
        shade = answer.locator(".stage image.shade").first.get_attribute("href")
        assert "contours=4" in shade
        assert "sign=negative" in shade

    def test_downloads(self, visitor, tmp_path):
        answer = visitor.open("explain", model=COLOURS, target="redder", against="blue")
        with quiet():
            e = explainer_of(COLOURS, "").explain(HOPPER, target=1, utility=contrast(3, "logit"))
        saved = {}
        links = answer.get_by_label("Downloads").get_by_role("link")
        for index in range(links.count()):
            with visitor.page.expect_download() as started:
                links.nth(index).click()
            name = started.value.suggested_filename
            saved[name] = tmp_path / name
            started.value.save_as(saved[name])
            assert "redder" in name
            assert "blue" in name
        assert len(saved) == links.count() >= 4
        (npz,) = [path for name, path in saved.items() if name.endswith(".npz")]
        (record,) = [path for name, path in saved.items() if name.endswith(".json")]
        assert torch.allclose(Explanation.load(npz).values, e.values, atol=1e-6)
        assert json.loads(record.read_text())["explained"][0]["class"] == 1
        sizes = [Image.open(path).size for name, path in saved.items() if name.endswith(".png")]
        assert e.overlay().size in sizes

    def test_a_caveat_is_a_link_that_does_what_it_advises(self, visitor, library):
        answer = visitor.open("explain", method="gradcam")
        answer.locator(".hint", has_text="trust the order").get_by_role("link").first.click()
        visitor.page.wait_for_url(lambda url: "method=gradcam" not in url)
        library.check("explain", visitor.answer(), visitor.question)
        answer = visitor.open("explain", method="randomcam", model=COLOURS)
        assert "random" in answer.locator(".hint").first.inner_text()


class TestCompare:
    def test_all_methods_and_their_maps(self, visitor):
        answer = visitor.open("compare", model=COLOURS, layer="body")
        cards = answer.locator(".card")
        shown = [name for i in range(cards.count()) for name in cards.nth(i).get_by_role("link").all_inner_texts()]
        e = explainer_of(COLOURS, "body").compare(HOPPER, ["paper"])
        assert set(shown) <= set(e)
        assert len(shown) == len(set(shown))
        for i in range(cards.count()):
            (first, *others) = cards.nth(i).get_by_role("link").all_inner_texts()
            for other in others:  # said to be the same
                assert torch.allclose(e[first].heatmap, e[other].heatmap, atol=1e-5)
        maps = [e[cards.nth(i).get_by_role("link").first.inner_text()].heatmap for i in range(cards.count())]
        assert all(not torch.allclose(a, b, atol=1e-6) for i, a in enumerate(maps) for b in maps[:i])

    def test_enlarged_by_the_keyboard(self, visitor):
        answer = visitor.open("compare", model=COLOURS)
        button = answer.locator(".card button.enlarge").first
        button.press("Enter")
        visitor.page.locator("dialog[open]").wait_for()
        assert visitor.page.locator("dialog[open] img").bounding_box()["width"] > 300
        visitor.page.keyboard.press("Escape")
        visitor.page.locator("dialog").wait_for(state="detached")
        assert button.evaluate("e => e === document.activeElement")

    def test_a_method_leads_to_its_explanation(self, visitor, library):
        answer = visitor.open("compare", model=COLOURS, layer="body", target="redder")
        answer.get_by_role("link", name="layercam", exact=True).click()
        visitor.page.wait_for_url("**/explain?**")
        assert visitor.question.method == "layercam"
        library.check("explain", visitor.answer(), visitor.question)


class TestFidelity:
    def test_the_standard_error_shrinks(self, visit):
        visitor = visit()
        visitor.page.add_init_script(
            """window.steps = []; new MutationObserver(() => {
            const at = document.querySelector('#measured'); if (!at) return;
            const step = [Number(at.dataset.orders), Number(at.dataset.error)];
            if (JSON.stringify(window.steps.at(-1)) !== JSON.stringify(step)) window.steps.push(step);
            }).observe(document, {childList: true, subtree: true, attributes: true});"""
        )
        visitor.open("fidelity", model=COLOURS, layer="body", error="0.05")
        steps = visitor.page.evaluate("window.steps")
        assert len(steps) > 2
        assert [orders for orders, _ in steps] == sorted(orders for orders, _ in steps)
        assert steps[-1][1] <= 0.0005 < steps[0][1]

    def test_methods_are_scored_against_the_true_values(self, visitor):
        answer = visitor.open("fidelity", model=COLOURS, layer="body")
        rows = {cells[0]: cells[1:] for cells in rows_of(answer.locator("table").first)}
        explainer = explainer_of(COLOURS, "body")
        true = values.permutation(explainer.game(HOPPER), tolerance=0.002, seed=5).values[0]
        for name in ("gradcam", "shapleycam", "pathcam-h"):
            own = explainer.explain(HOPPER, name).values.flatten().double()
            expected = float((own - true).norm() / true.norm())
            assert percent(rows[name][0]) == pytest.approx(expected, abs=0.012)

    def test_the_tolerance_is_in_the_address(self, visitor):
        reached = []
        for error in ("1", "0.1"):
            visitor.open("fidelity", model=COLOURS, layer="body", error="2")
            visitor.pick("error", error)
            measured = visitor.change(error=error).locator("#measured")
            assert 100 * float(measured.get_attribute("data-error")) <= float(error)
            reached.append(int(measured.get_attribute("data-orders")))
        assert reached[0] < reached[1]


class TestCoalitions:
    def test_what_a_coalition_is_worth(self, visitor, library):
        answer = visitor.open("coalitions", model=COLOURS, layer="body")
        places = answer.locator("#board button.place")
        explainer = explainer_of(COLOURS, "body")
        game, chance = explainer.game(HOPPER), explainer.game(HOPPER, utility="probability")
        assert places.count() == game.n_players == 49
        inside = torch.ones(1, 49, dtype=torch.bool)
        for place in (3, 10, 11):
            places.nth(place).click()
            inside[0, place] = False
            worth = float(game.value(inside)[0, 0])
            answer.locator("#worth", has_text=f"{worth:.4f}").wait_for()
        assert visitor.question.absent == "3.10.11"
        facts = facts_of(answer.locator("#worth"))
        probability = float(chance.value(inside)[0, 0] + chance.empty[0])
        assert f"{100 * probability:.1f}%" in answer.locator("#worth").inner_text(), facts
        visitor.page.reload()
        library.check("coalitions", visitor.answer(), visitor.question)
        answer.get_by_role("button", name="nobody").click()
        answer.locator("#worth", has_text=re.compile(r"(0 of 49|no place|nobody)", re.IGNORECASE)).wait_for()

    def test_by_the_keyboard(self, visitor, library):
        answer = visitor.open("coalitions", model=COLOURS)
        places = answer.locator("#board button.place")
        places.nth(8).focus()
        visitor.page.keyboard.press("ArrowDown")
        visitor.page.keyboard.press("Space")
        visitor.page.wait_for_url("**absent=15**")
        assert places.nth(15).get_attribute("aria-pressed") == "false"
        assert places.nth(15).evaluate("e => e === document.activeElement")
        library.check("coalitions", answer, visitor.question)

    def test_quick_clicks_end_at_the_worth_of_the_last(self, visitor, library):
        answer = visitor.open("coalitions")
        for place in (0, 1, 2, 3, 9, 16, 23, 3, 9):
            answer.locator("#board button.place").nth(place).click(no_wait_after=True)
        visitor.page.wait_for_url("**absent=0.1.2.16.23**")
        library.check("coalitions", answer, visitor.question)


class TestResults:
    def test_a_run(self, visitor, evaluated):
        answer = visitor.open("results")
        rows = rows_of(answer.locator("table.sortable").first)
        assert {row[0] for row in rows} == {"gradcam", "shapleycam", "layercam"}
        drop = Store(evaluated).rows().filter(method="gradcam")["average_drop"].mean()
        (cell,) = [row[1] for row in rows if row[0] == "gradcam"]
        assert number_of(cell) == pytest.approx(100 * drop, abs=0.006)
        assert all(alt for alt in answer.locator("img").evaluate_all("all => all.map(each => each.alt)"))

    def test_sorted(self, visitor):
        table = visitor.open("results").locator("table.sortable").first
        head = table.locator("thead button").nth(2)
        head.click()
        once = [number_of(row[2]) for row in rows_of(table)]
        head.click()
        twice = [number_of(row[2]) for row in rows_of(table)]
        assert sorted(once) in (once, once[::-1])
        assert twice == once[::-1]

    def test_where_methods_differ(self, visitor, evaluated):
        answer = visitor.open("results", metric="average_drop")
        rows = rows_of(answer.locator("table", has_text="differ most"))
        image = Store(evaluated).rows().filter(image=rows[0][0])["average_drop"]
        assert percent(rows[0][-1]) == pytest.approx(image.max() - image.min(), abs=6e-4)
        answer.get_by_role("link", name=re.compile("coherency")).first.click()
        visitor.page.wait_for_url("**metric=coherency**")
        assert "coherency" in visitor.answer().inner_text()

    def test_another_run(self, visitor, evaluated_two):
        visitor.open("results")
        visitor.pick("run", evaluated_two.name)
        answer = visitor.change(run=evaluated_two.name)
        assert {row[0] for row in rows_of(answer.locator("table.sortable").first)} == {"gradcam", "hirescam"}


def test_long_work_ends_where_nobody_waits(visit, served):
    """Thousands of orders before the network's last stage take minutes."""
    visitor = visit()
    visitor.page.goto(f"{visitor.address}/fidelity?{Question(layer='conv_head', error='0.1').address()}")
    visitor.page.locator("#measured").wait_for()
    visitor.open("explain", model=COLOURS)
    deadline = 200
    while served.process.cpu_percent(0.3) > 20 and deadline:
        deadline -= 1
    assert deadline, "the server goes on with what nobody waits for"


def facts_of(where) -> dict[str, str]:
    """Return the names and values of a list of facts."""
    pairs = "[...e.querySelectorAll('dl > div')].map(pair => [...pair.children].map(each => each.innerText.trim()))"
    script = f"e => Object.fromEntries({pairs})"
    return where.evaluate(script)


def number_of(text: str) -> float:
    return float(re.search(r"-?[\d.]+", text)[0])
