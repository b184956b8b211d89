"""The question is the address: what is shown is the answer to it, however one came there, and never an earlier one.

That no answer of another question is ever in the page is checked by `visit` in every test.
"""

from __future__ import annotations

import pytest

from helpers.chromium import launch
from helpers.web_library import COLOURS, DEFAULT_MODEL
from helpers.web_visitor import TIMEOUT
from shapleycam.web.question import Question

CHANGES = {
    "layer": "body",
    "class": "redder",
    "utility": "probability",
    "removal": "mean",
    "against": "green",
    "model": DEFAULT_MODEL,
}
"""What a visitor changes one after another, by the names of addresses."""
OF_VIEWS = {
    "explain": tuple(CHANGES),
    "compare": ("layer", "against", "model"),
    "fidelity": ("class", "removal"),
    "coalitions": ("utility", "model"),
}
"""What is changed in each view: all in one, and each in another one too; the panel and its script are the same."""
FIELDS = {"class": "target"}


class Walk:
    """One visit in which a question is changed step by step, each answer checked by its numbers."""

    def __init__(self, visitor, view, library):
        self.visitor, self.view, self.library = visitor, view, library
        self.addresses = []

    def check(self):
        """Check what is shown, and note the address."""
        answer = self.visitor.answer()
        self.library.check(self.view, answer, self.visitor.question)
        self.addresses.append(self.visitor.page.url)

    def upload(self, path):
        """Send a photograph."""
        self.visitor.upload(path)
        self.library.photographs[self.visitor.question.photo] = path

    def pick(self, name, value):
        """Change one field."""
        self.visitor.pick(name, value)
        in_address = "" if value == DEFAULT_MODEL else value
        self.visitor.change(**{FIELDS.get(name, name): in_address})


@pytest.mark.parametrize("view", OF_VIEWS)
def test_each_change_is_shown(view, visitor, library, photographs):
    walk = Walk(visitor, view, library)
    visitor.open(view, model=COLOURS)
    walk.check()
    walk.upload(photographs[0])
    walk.check()
    for name in OF_VIEWS[view]:
        if name == "model":
            visitor.open(view, model=COLOURS, photo=visitor.question.photo)  # where class names mean the same
        walk.pick(name, CHANGES[name])
        walk.check()
    visitor.page.get_by_role("link", name="Remove").or_(visitor.page.get_by_role("button", name="Remove")).click()
    visitor.page.wait_for_url(lambda url: url != walk.addresses[-1])
    walk.check()
    assert visitor.question.photo == ""
    assert len(set(walk.addresses)) == len(walk.addresses)


@pytest.mark.parametrize("view", ["explain", "fidelity"])  # an answer that is whole at once, and one that comes
def test_back_forward_reload_and_a_copied_address(view, visit, library):
    visitor = visit()
    walk = Walk(visitor, view, library)
    visitor.open(view, model=COLOURS)
    walk.check()
    for name in ("class", "layer"):
        walk.pick(name, CHANGES[name])
        walk.check()
    first, second, third = walk.addresses
    for step, address in (
        (visitor.page.go_back, second),
        (visitor.page.go_back, first),
        (visitor.page.go_forward, second),
        (visitor.page.reload, second),
        (visitor.page.go_forward, third),
    ):
        step()
        assert visitor.page.url == address
        walk.check()
        expect_panel(visitor)
    other = visit()
    other.page.goto(third)
    library.check(view, other.answer(), other.question)
    expect_panel(other)


def expect_panel(visitor):
    """Check that the controls say what the address says."""
    for name in ("class", "layer", "model"):
        shown = visitor.page.locator(f"#question [name={name}]").input_value()
        value = getattr(visitor.question, FIELDS.get(name, name))
        assert shown == value or not value, name


def test_the_method_and_its_alternatives(visitor, library):
    walk = Walk(visitor, "explain", library)
    visitor.open("explain", model=COLOURS)
    for method in ("gradcam", "sampledshapley", "layercam"):
        walk.pick("method", method)
        walk.check()


def test_tabs_carry_the_question(visitor, library, photographs):
    walk = Walk(visitor, "explain", library)
    visitor.open("explain", model=COLOURS, layer="body", target="redder", utility="probability")
    walk.upload(photographs[2])
    walk.pick("class", "red")
    question = visitor.question
    for title in ("Compare", "Fidelity", "Coalitions", "Explain"):
        answer = visitor.tab(title)
        library.check(title.lower(), answer, visitor.question)
        for name in ("photo", "model", "layer", "target", "utility"):
            assert getattr(visitor.question, name) == getattr(question, name)


def test_a_change_while_an_answer_is_on_its_way(visitor, library):
    """The long one is left in the middle, come back to and left again; none of its states appears elsewhere."""
    slow = Question(layer="blocks.3", error="0.1")
    going = visitor.page.locator("#answer [data-state=going]")
    visitor.page.goto(f"{visitor.address}/fidelity?{slow.address()}")
    going.wait_for()
    visitor.pick("class", "military uniform")
    visitor.page.wait_for_url(lambda url: "military" in url)
    going.wait_for()
    visitor.page.go_back()
    going.wait_for()
    visitor.pick("model", COLOURS)
    visitor.page.wait_for_url(lambda url: "colour_network" in url)
    visitor.open("explain", model=COLOURS)
    library.check("explain", visitor.answer(), visitor.question)
    visitor.open("fidelity", model=COLOURS)
    library.check("fidelity", visitor.answer(), visitor.question)
    assert visitor.answers  # or nothing was recorded


def test_what_is_offered_and_does_not_load_is_said(visitor, library):
    visitor.open("explain", model=COLOURS)
    visitor.pick("model", "not_there:net")
    answer = visitor.change(model="not_there:net")
    assert "not_there:net" in answer.locator("[role=alert]").inner_text()
    visitor.pick("model", COLOURS)
    library.check("explain", visitor.change(model=COLOURS), visitor.question)


def test_two_visitors_with_one_photograph(visit, library, photographs):
    """What one removes stays the other's."""
    walks = [Walk(visit(), "explain", library) for _ in range(2)]
    for walk in walks:
        walk.visitor.open("explain", model=COLOURS)
        walk.upload(photographs[4])
        walk.check()
    first, second = (walk.visitor for walk in walks)
    assert first.question.photo == second.question.photo
    first.page.get_by_role("link", name="Remove").or_(first.page.get_by_role("button", name="Remove")).click()
    first.page.wait_for_url(lambda url: second.question.photo not in url)
    second.page.reload()
    library.check("explain", second.answer(), second.question)
    walks[1].pick("class", "redder")
    walks[1].check()


def test_four_at_once(visit, library, photographs):
    """All ask, then all look: everybody has the answer to what they asked."""
    four = photographs[:4]
    walks = [Walk(visit(), "explain", library) for _ in four]
    for walk, path in zip(walks, four, strict=True):
        walk.visitor.page.goto(f"{walk.visitor.address}/explain?{Question(model=COLOURS).address()}")
        walk.upload(path)
    for walk in walks:
        walk.check()
    classes = ("red", "redder", "green", "probability")
    for walk, label in zip(walks, classes, strict=True):
        walk.visitor.pick("class", label)
    for walk, label in zip(walks, classes, strict=True):
        walk.visitor.change(target=label)
        walk.check()


def test_a_page_that_the_browser_kept_shows_what_its_address_says(visit, library, chromium):
    """A page comes back from the browser's cache as it was left, boxes half filled included."""
    browser = launch(chromium.browser_type, without=["--disable-back-forward-cache"])
    try:
        visitor = visit(browser=browser)
        visitor.open("explain", model=COLOURS, target="red")
        visitor.page.evaluate("addEventListener('pageshow', event => { window.wasKept = event.persisted; })")
        visitor.page.locator("#question [name=class]").fill("blu")  # and not chosen
        visitor.page.keyboard.press("Escape")
        visitor.tab("Compare")
        visitor.page.go_back(wait_until="commit")
        visitor.page.wait_for_function("window.wasKept")
        assert visitor.page.locator("#question [name=class]").input_value() == "red"
        library.check("explain", visitor.answer(), visitor.question)
    finally:
        browser.close()


def test_without_scripts_the_buttons_do_the_same(chromium, served, library, photographs):
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(f"{served.address}/explain?{Question(model=COLOURS, target='redder').address()}")
    article = page.locator("#answer article")
    assert article.get_attribute("data-target") == "1"
    page.locator("#question [name=layer]").fill("body")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**layer=body**script=off**")
    e = library.explain(Question(model=COLOURS, target="redder", layer="body"))
    assert float(article.get_attribute("data-largest")) == pytest.approx(float(e.values.abs().max()), rel=1e-4)
    page.locator("#upload input[type=file]").set_input_files(photographs[0])
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**photo=**script=off**")
    library.photographs["sent"] = photographs[0]
    e = library.explain(Question(model=COLOURS, layer="body", photo="sent"))
    assert float(article.get_attribute("data-largest")) == pytest.approx(float(e.values.abs().max()), rel=1e-4)
    context.close()
