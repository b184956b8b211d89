"""Each tab used as a person would, in a real browser; what is shown is what the library says."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
import torch

from helpers.web_server import HOPPER, WebServer
from shapleycam import values

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
TABS = ("Explain", "Compare", "Fidelity", "Coalitions", "Results")


def open_tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def take_example(page: Any) -> None:
    page.get_by_role("button", name="Example").click()
    page.locator("#explained .sc-answer").wait_for()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def shade(page: Any, kind: str = "heatmap") -> str:
    return page.locator(f"#explained .sc-shade[data-kind={kind}]").get_attribute("src")


def search(page: Any, where: str, text: str) -> None:
    box = page.locator(f"#{where} input")
    box.fill(text)
    box.press("Enter")


def answer_of(e: Any) -> str:
    probability = float(e.probabilities(0)[e.target[0]])
    return f"{e.label()} {probability:.1%}, {e.utility_name} {float(e.utility[0]):.4g}"


class TestExplain:
    def test_example(self, visit, explainer, shoot):
        page = visit()
        take_example(page)
        e = explainer.explain(HOPPER)
        assert page.locator("#explained .sc-answer").inner_text() == answer_of(e)
        facts = page.locator("#explained .sc-facts").inner_text()
        grand = float(explainer.game(HOPPER).grand[0])
        gap = abs(float(e.values.sum()) - grand) / grand
        assert f"efficiency gap {gap:.1%}" in facts
        assert f"{float(e.curvature[0]):.2f}: " in facts
        assert page.locator("#top label").count() == 5
        shoot(page, "explain")

    def test_another_class(self, visit, explainer):
        page = visit()
        take_example(page)
        before = shade(page)
        page.locator("#top").get_by_text("mortarboard").click()
        page.locator("#explained .sc-answer strong", has_text="mortarboard").wait_for()
        assert page.locator("#explained .sc-answer").inner_text() == answer_of(
            explainer.explain(HOPPER, target="mortarboard")
        )
        assert shade(page) != before
        search(page, "target", "military uniform")
        page.locator("#explained .sc-answer strong", has_text="military uniform").wait_for()

    def test_a_class_that_does_not_exist(self, visit):
        page = visit()
        take_example(page)
        search(page, "target", "millitary uniform")
        page.locator("#explained .sc-message").wait_for()
        assert "did you mean 'military uniform'" in page.locator("#explained .sc-message").inner_text()
        search(page, "target", "1000")
        page.locator("#explained .sc-message", has_text="class 1000 is out of range").wait_for()

    def test_why_this_and_not_that(self, visit, explainer):
        from shapleycam.utilities import contrast

        page = visit()
        take_example(page)
        search(page, "against", "mortarboard")
        e = explainer.explain(HOPPER, utility=contrast("mortarboard", "rest"))
        page.locator("#explained .sc-answer", has_text=f"{float(e.utility[0]):.4g}").wait_for()

    def test_opacity(self, visit):
        page = visit()
        take_example(page)
        shown = page.locator("#explained .sc-shade").first
        assert shown.evaluate("e => getComputedStyle(e).opacity") == "0.75"
        page.get_by_label("opacity").fill("0.2")
        assert shown.evaluate("e => getComputedStyle(e).opacity") == "0.2"

    def test_downloads(self, visit, explainer, tmp_path):
        import json

        from PIL import Image

        from shapleycam import Explanation

        page = visit()
        take_example(page)
        kept = {}
        for name in ("PNG", "NPZ", "JSON"):
            with page.expect_download() as started:
                page.locator("#explained").get_by_role("link", name=name).click()
            kept[name] = tmp_path / started.value.suggested_filename
            started.value.save_as(kept[name])
        e = explainer.explain(HOPPER)
        assert torch.equal(Explanation.load(kept["NPZ"]).values, e.values)
        assert json.loads(kept["JSON"].read_text())["explained"][0]["class"] == int(e.target[0])
        assert Image.open(kept["PNG"]).size == e.overlay().size

    def test_true_values_with_their_errors(self, visit):
        page = visit()
        take_example(page)
        search(page, "method", "sampledshapley")
        page.locator("#explained .sc-facts", has_text="standard error").wait_for()

    def test_a_method_that_leaves_much_out_is_said(self, visit):
        page = visit()
        take_example(page)
        search(page, "method", "gradcam")
        page.locator("#explained .sc-hint", has_text="trust the order").wait_for()
        search(page, "method", "randomcam")
        page.locator("#explained .sc-hint", has_text="random").wait_for()

    def test_a_photograph_of_ones_own(self, visit, explainer, photographs, served):
        page = visit()
        page.locator("input[type=file]").first.set_input_files(photographs[2])
        page.locator("#explained .sc-answer").wait_for()
        assert page.locator("#explained .sc-answer").inner_text() == answer_of(explainer.explain(photographs[2]))
        assert served.uploads() == []

    def test_a_model_that_does_not_load(self, visit):
        page = visit()
        take_example(page)
        box = page.get_by_label("Model", exact=True)
        box.fill("not_there")
        box.press("Enter")
        page.locator(".sc-message", has_text="not_there.py").first.wait_for()
        box.fill("efficientnet")
        box.press("Enter")
        page.locator("#explained .sc-answer").wait_for()


class TestCompare:
    def test_all_from_one_pass(self, visit, shoot):
        page = visit()
        take_example(page)
        open_tab(page, "Compare")
        press(page, "Compare")
        cards = page.locator("#compared .sc-card")
        cards.first.wait_for()
        assert cards.count() == 10
        assert len({cards.nth(index).locator("img").first.get_attribute("src") for index in range(10)}) > 5
        assert all("heatmap of" in cards.nth(index).locator("img").first.get_attribute("alt") for index in range(10))
        shoot(page, "compare")

    def test_enlarged_by_the_keyboard(self, visit):
        page = visit()
        take_example(page)
        open_tab(page, "Compare")
        press(page, "Compare")
        page.get_by_role("button", name="enlarge gradcam", exact=True).press("Enter")
        page.locator("dialog[open]").wait_for()
        assert page.locator("dialog[open] img").bounding_box()["width"] > 300
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")


class TestFidelity:
    def test_the_standard_error_shrinks(self, visit, shoot):
        page = visit()
        take_example(page)
        open_tab(page, "Fidelity")
        page.evaluate(
            """() => { window.steps = []; new MutationObserver(() => {
            const at = document.querySelector('#measured [data-orders]'); if (!at) return;
            const step = [Number(at.dataset.orders), Number(at.dataset.error)];
            if (JSON.stringify(window.steps.at(-1)) !== JSON.stringify(step)) window.steps.push(step);
            }).observe(document.querySelector('#measured'), {childList: true, subtree: true, attributes: true}); }"""
        )
        page.wait_for_timeout(2000)  # the frame makes the boxes of a tab anew when it is opened, with what they held
        page.locator("#tolerance input[type=number]").fill("0.1")
        page.locator("#tolerance input[type=number]").press("Enter")
        page.wait_for_timeout(1000)
        press(page, "Sample")
        page.locator("#measured [role=status]", has_text="done").wait_for(timeout=300_000)
        page.wait_for_function("window.steps.at(-1)[1] <= 0.001", timeout=60_000)  # the observer hears of it later
        steps = page.evaluate("window.steps")
        assert len(steps) > 2
        assert [orders for orders, _ in steps] == sorted(orders for orders, _ in steps)
        assert steps[-1][1] <= 0.001 < steps[0][1]
        shoot(page, "fidelity")

    def test_methods_are_scored_against_them(self, visit, explainer):
        page = visit()
        take_example(page)
        open_tab(page, "Fidelity")
        press(page, "Sample")
        page.locator("#measured [role=status]", has_text="done").wait_for(timeout=300_000)
        rows = {cells[0]: cells[1:] for cells in table_of(page, "#measured table")}
        true = values.permutation(explainer.game(HOPPER), tolerance=0.002, seed=5).values[0]
        for name in ("gradcam", "shapleycam", "pathcam-h"):
            own = explainer.explain(HOPPER, name).values.flatten().double()
            expected = float((own - true).norm() / true.norm())
            assert float(rows[name][0].rstrip("%")) / 100 == pytest.approx(expected, abs=0.006)
        assert rows["layercam"][0] == ""


class TestCoalitions:
    def test_what_a_coalition_is_worth(self, visit, explainer, shoot):
        page = visit()
        take_example(page)
        open_tab(page, "Coalitions")
        press(page, "Play")
        cells = page.locator("#board .sc-cell")
        cells.first.wait_for()
        game, chance = explainer.game(HOPPER), explainer.game(HOPPER, utility="probability")
        assert cells.count() == game.n_players == 49
        inside = torch.ones(1, 49, dtype=torch.bool)
        for cell in (3, 10, 11):
            cells.nth(cell).click()
            inside[0, cell] = False
            worth = float(game.value(inside)[0, 0])
            page.locator("#worth", has_text=f"{worth:.4f}").wait_for()
        facts = facts_of(page, "#worth")
        assert facts["probability of the class"] == f"{float(chance.value(inside)[0, 0] + chance.empty[0]):.2%}"
        shares = values.permutation(game).values[0]
        assert float(facts["predicted by Shapley values"]) == pytest.approx(float(shares[inside[0]].sum()), abs=1e-3)
        shoot(page, "coalitions")
        press(page, "nobody")
        page.locator("#worth", has_text="0 of 49").wait_for()
        assert float(facts_of(page, "#worth")["v(S)"]) == 0

    def test_without_a_photograph_it_is_said_once(self, visit):
        page = visit()
        open_tab(page, "Coalitions")
        press(page, "Play")
        page.locator("#board .sc-message", has_text="There is no photograph yet").wait_for()
        assert page.locator("#worth").inner_text() == ""

    def test_by_the_keyboard(self, visit):
        page = visit()
        take_example(page)
        open_tab(page, "Coalitions")
        press(page, "Play")
        page.locator("#board .sc-cell").nth(8).focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        page.locator("#worth", has_text="48 of 49").wait_for()
        assert page.locator("#board .sc-cell").nth(15).get_attribute("aria-pressed") == "false"


class TestResults:
    def test_a_run(self, visit, evaluated, shoot):
        from shapleycam.experiments import Store

        page = visit()
        open_tab(page, "Results")
        press(page, "Open")
        page.locator("#results table").first.wait_for()
        rows = table_of(page, "#results table >> nth=0")
        assert {row[0] for row in rows} == {"gradcam", "shapleycam", "layercam"}
        drop = Store(evaluated).rows().filter(method="gradcam")["average_drop"].mean()
        (shown,) = [row[2] for row in rows if row[0] == "gradcam"]
        assert float(re.match(r"[\d.]+", shown)[0]) == pytest.approx(100 * drop, abs=0.06)
        assert all(alt for alt in page.locator("#results img").evaluate_all("all => all.map(each => each.alt)"))
        shoot(page, "results")

    def test_sorted(self, visit):
        page = visit()
        open_tab(page, "Results")
        press(page, "Open")
        head = page.locator("#results table >> nth=0 >> thead button >> nth=2")
        head.click()
        up = [float(re.match(r"[\d.]+", row[2])[0]) for row in table_of(page, "#results table >> nth=0")]
        head.click()
        down = [float(re.match(r"[\d.]+", row[2])[0]) for row in table_of(page, "#results table >> nth=0")]
        assert up == sorted(up)
        assert down == up[::-1]

    def test_where_methods_differ(self, visit, evaluated):
        from shapleycam.experiments import Store

        page = visit()
        open_tab(page, "Results")
        press(page, "Open")
        rows = table_of(page, "#results table >> nth=-1")
        first = Store(evaluated).rows().filter(image=rows[0][0])["average_drop"]
        assert float(rows[0][-1].rstrip(" %")) / 100 == pytest.approx(first.max() - first.min(), abs=6e-4)
        maps = page.locator("#results .sc-card img[alt*='heatmap of']")
        assert maps.count() == 3 * min(3, len(rows))
        box = page.locator("#metric input")
        box.fill("coherency")
        box.press("Enter")
        page.locator("#results caption", has_text="differ most by coherency").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_light_and_dark_on_desk_and_phone(visit, scheme, size, shoot):
    width, height = SIZES[size]
    page = visit(width=width, height=height, scheme=scheme)
    take_example(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    ink = brightness(page.locator("#explained .sc-answer").evaluate("e => getComputedStyle(e).color"))
    assert (background < 80) == (scheme == "dark")
    assert abs(background - ink) > 120
    shoot(page, f"{size}-{scheme}")
    for tab in TABS[1:]:
        if size == "desktop":
            open_tab(page, tab)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_is_reached_by_the_keyboard(visit):
    page = visit()
    take_example(page)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => (e.innerText || e.ariaLabel || e.type || '').trim())(document.activeElement)"))
    assert {"Explain", "Example: grace hopper", "PNG", "NPZ", "JSON", "range", "Stop"} <= reached


def test_a_long_one_can_be_stopped(visit, served):
    """Four thousand orders behind block 3, where much of the network is the head, take minutes."""
    page = visit()
    take_example(page)
    page.get_by_role("button", name="Layer and utility").click()
    box = page.get_by_label("Layer", exact=True)
    box.fill("blocks.3")
    box.press("Enter")
    page.locator("#explained .sc-facts", has_text="blocks.3").wait_for()
    open_tab(page, "Fidelity")
    press(page, "Sample")
    page.locator("#measured [data-orders]").wait_for(timeout=300_000)
    before = seconds_of_threads(served.process)
    until(lambda: max(seconds_since(before, served.process).values()) > 0.5)
    worked = seconds_since(before, served.process)
    worker = max(worked, key=worked.get)
    press(page, "Stop")
    until(lambda: worker not in seconds_of_threads(served.process))  # at the next step of the job
    until(lambda: served.process.cpu_percent(1) < 20)  # what it had sent is shown
    orders = page.locator("#measured [data-orders]").get_attribute("data-orders")
    until(lambda: served.process.cpu_percent(3) < 20)
    assert page.locator("#measured [data-orders]").get_attribute("data-orders") == orders
    assert page.locator("#measured [role=status]", has_text="done").count() == 0
    open_tab(page, "Compare")
    press(page, "Compare")
    page.locator("#compared .sc-card").first.wait_for()


def test_who_does_not_know_the_password_stays_outside(chromium):
    with WebServer("--auth", "team:secret") as found:
        page = chromium.new_page()
        page.goto(found.address)
        page.get_by_label("username").fill("team")
        page.get_by_label("password").fill("wrong")
        page.get_by_role("button", name="Login").click()
        page.get_by_text("Incorrect").wait_for()
        page.reload()
        page.get_by_label("username").fill("team")
        page.get_by_label("password").fill("secret")
        page.get_by_role("button", name="Login").click()
        page.get_by_role("button", name="Example").wait_for()
        page.close()


def seconds_of_threads(process: psutil.Process) -> dict[int, float]:
    """The seconds of a processor that each thread of a process has used, by its number."""
    return {thread.id: thread.user_time + thread.system_time for thread in process.threads()}


def seconds_since(before: dict[int, float], process: psutil.Process) -> dict[int, float]:
    """The seconds that each thread has used since `before`."""
    return {number: spent - before.get(number, 0) for number, spent in seconds_of_threads(process).items()}


def until(what: Callable[[], bool], seconds: float = 300) -> None:
    deadline = monotonic() + seconds
    while not what():
        assert monotonic() < deadline
        sleep(0.05)


def table_of(page: Any, where: str) -> list[list[str]]:
    page.locator(where).first.wait_for()
    script = "t => [...t.tBodies[0].rows].map(row => [...row.children].map(cell => cell.textContent.trim()))"
    return page.locator(where).first.evaluate(script)


def facts_of(page: Any, where: str) -> dict[str, str]:
    script = (
        "e => Object.fromEntries([...e.querySelectorAll('dl > div')].map(d => [...d.children].map(c => c.textContent)))"
    )
    return page.locator(where).evaluate(script)


def brightness(colour: str) -> float:
    """0 to 255, of a colour as a browser writes it."""
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue
