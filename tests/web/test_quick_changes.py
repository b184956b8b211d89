"""Changes that overtake the page: while its scripts load, while the next page is on its way, or never comes."""

from __future__ import annotations

import re
from base64 import b64encode

from helpers.web_library import COLOURS
from helpers.web_visitor import HAND_OVER

IS_SAID = """(() => {
  const notice = document.getElementById("changed");
  return notice.checkVisibility() && notice.textContent.includes("the answer to the one before");
})()"""


def evaluate(page, expression):
    """Evaluate JavaScript in the page that is shown; Playwright would wait for the one that is on its way."""
    devtools = page.context.new_cdp_session(page)
    return devtools.send("Runtime.evaluate", {"expression": expression})["result"].get("value")


def is_said(page):
    """Return whether the page says that its answer is to an earlier question."""
    return evaluate(page, IS_SAID)


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


def test_an_answer_to_the_question_before_is_called_so(visitor, library):
    visitor.open("explain", model=COLOURS)
    assert not is_said(visitor.page)
    next_page = Held(visitor.page, r"/explain\?.*method=gradcam")
    visitor.pick("method", "gradcam")
    for _ in range(50):
        if is_said(visitor.page):
            break
        visitor.page.wait_for_timeout(100)
    assert is_said(visitor.page)
    next_page.let_go()
    library.check("explain", visitor.change(method="gradcam"), visitor.question)
    assert not is_said(visitor.page)


def test_a_photograph_keeps_the_choice_that_is_on_its_way(visitor, library, photographs):
    visitor.open("explain", model=COLOURS, target="red", layer="body")
    Held(visitor.page, r"/explain\?(?!.*photo=).*method=gradcam")
    visitor.pick("method", "gradcam")
    content = b64encode(photographs[0].read_bytes()).decode()
    evaluate(visitor.page, f"({HAND_OVER})(['paste', 'photograph.jpg', 'image/jpeg', '{content}'])")
    answer = visitor.change(method="gradcam", layer="body", target="")
    library.photographs[visitor.question.photo] = photographs[0]
    library.check("explain", answer, visitor.question)
