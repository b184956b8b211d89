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


def until(page, condition: Callable[[], bool]) -> None:
    """Wait; events of Playwright are only seen meanwhile."""
    for _ in range(600):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it has not happened")


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
