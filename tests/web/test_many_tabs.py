"""More tabs than a browser has connections to a server: all are answered, and those that wait say so."""

from __future__ import annotations

from collections.abc import Callable

from helpers.web_library import COLOURS
from shapleycam.web.question import Question

MOST = 4
LONG = f"fidelity?{Question(layer='blocks.4', error='0.01').address()}"
"""Minutes of sampling."""
WAITS = "#answer > .waits"
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
"""What a browser does where another tab is looked at; Playwright's are all visible."""


LATE = """
const listen = BroadcastChannel.prototype.addEventListener;
BroadcastChannel.prototype.addEventListener = function (kind, hear) {
  listen.call(this, kind, (event) => setTimeout(() => hear({data: event.data}), 400));
};
"""
"""What tabs say to each other comes late, as on a busy machine."""


def until(page, condition: Callable[[], bool]) -> None:
    """Wait; events of Playwright are only seen meanwhile."""
    for _ in range(600):
        if condition():
            return
        page.wait_for_timeout(100)
    answers = [each.locator("#answer").inner_text()[:200] for each in page.context.pages]
    raise AssertionError(f"it has not happened; what the tabs show: {answers}")


def test_eight_tabs_that_take_long_do_not_block_each_other(visit):
    visitor = visit()
    first = visitor.page
    pages = [first, *(first.context.new_page() for _ in range(7))]
    for page in pages:
        page.goto(f"{visitor.address}/{LONG}", wait_until="domcontentloaded")
        page.locator(f"#answer progress, {WAITS}, #answer [data-state]").first.wait_for()

    def waiting() -> list:
        return [page for page in pages if page.locator(WAITS).count()]

    until(first, lambda: len(waiting()) == len(pages) - MOST)
    assert "4 other tabs of this browser are being answered" in waiting()[0].locator(WAITS).inner_text()

    # a ninth tab is not hung, and is answered once it is looked at and others are not
    ninth = first.context.new_page()
    ninth.goto(f"{visitor.address}/explain?model={COLOURS}", wait_until="domcontentloaded")
    ninth.locator(WAITS).wait_for()
    streaming = [page for page in pages if page not in waiting()]
    for page in pages:
        page.evaluate(HIDE, True)
    ninth.locator('#answer [data-state="done"]').wait_for()

    # the tab that gave its turn away goes on where it is looked at again
    until(first, lambda: len(waiting()) == len(pages) - MOST)
    given_up = next((page for page in streaming if page.locator(WAITS).count()), waiting()[0])
    given_up.evaluate(HIDE, False)
    given_up.locator(WAITS).wait_for(state="detached")

    # whoever closes a tab lets another one go on
    until(first, lambda: len(waiting()) == len(pages) - MOST)
    closed = next(page for page in pages if page not in {*waiting(), given_up, first})
    closed.close()
    pages.remove(closed)
    until(first, lambda: len(waiting()) == len(pages) - MOST)
    for page in pages:
        assert page.locator("#answer .broken").count() == 0


def test_tabs_that_hear_of_each_other_late_settle_on_four(visit):
    visitor = visit()
    first = visitor.page
    first.context.add_init_script(LATE)
    pages = [first, *(first.context.new_page() for _ in range(5))]
    for page in pages:
        page.goto(f"{visitor.address}/{LONG}", wait_until="domcontentloaded")

    def waiting() -> list[bool]:
        return [page.locator(WAITS).count() > 0 for page in pages]

    def has_settled() -> bool:
        before = waiting()
        first.wait_for_timeout(3000)  # more than the time after which those that wait ask again
        return before == waiting() and sum(before) == len(pages) - MOST

    until(first, has_settled)
