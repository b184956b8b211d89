"""Changes that overtake the page: while its scripts load, while the next page is on its way, or never comes."""

from __future__ import annotations

import re
from base64 import b64encode

from helpers.web_library import COLOURS
from helpers.web_visitor import HAND_OVER

CHOOSE = """setTimeout(() => {
  const box = document.querySelector("#question [name=method]");
  box.value = "gradcam";
  box.dispatchEvent(new Event("change", {bubbles: true}));
})"""

STOP = "addEventListener('submit', (event) => event.preventDefault(), {once: true})"
"""As if the visitor had stopped the page that is on its way."""


class Held:
    """Requests of addresses that match a pattern, which wait until they are let go."""

    def __init__(self, page, pattern):
        self.routes = []
        page.route(re.compile(pattern), self.hold)

    def hold(self, route):
        self.routes.append(route)

    def let_go(self):
        for route in self.routes:
            route.continue_()


def test_a_choice_before_the_scripts_run_is_answered(visitor, library):
    scripts = Held(visitor.page, r"/static/page\.js")
    visitor.page.goto(f"{visitor.address}/explain?model={COLOURS}", wait_until="commit")
    visitor.page.locator("#question [name=method]").select_option("gradcam")
    scripts.let_go()
    visitor.page.unroute_all()
    library.check("explain", visitor.change(method="gradcam"), visitor.question)


def test_a_photograph_keeps_the_choice_that_is_on_its_way(visitor, library, photographs):
    visitor.open("explain", model=COLOURS, target="red", layer="body")
    Held(visitor.page, r"/explain\?(?!.*photo=).*method=gradcam")
    content = b64encode(photographs[0].read_bytes()).decode()
    paste = f"({HAND_OVER})(['paste', 'photograph.jpg', 'image/jpeg', '{content}'])"
    visitor.page.evaluate(f"{CHOOSE}; setTimeout(() => {paste}, 100)")
    answer = visitor.change(method="gradcam", layer="body", target="")
    library.photographs[visitor.question.photo] = photographs[0]
    library.check("explain", answer, visitor.question)


def test_a_change_whose_page_never_comes_is_said_above_the_answer(visitor, library):
    visitor.open("explain", model=COLOURS)
    notice = visitor.page.locator("#changed")
    assert notice.is_hidden()
    visitor.page.evaluate(f"document.getElementById('question').{STOP}")
    visitor.page.locator("#question [name=method]").select_option("gradcam")
    notice.wait_for(state="visible")
    visitor.page.get_by_role("button", name="Show the answer").click()
    library.check("explain", visitor.change(method="gradcam"), visitor.question)
    assert visitor.page.locator("#changed").is_hidden()
