"""Every control of every tab is reached by the keyboard alone, shows that it has the focus, and works."""

from __future__ import annotations

import pytest

from helpers.web_library import COLOURS

TABS = ("explain", "compare", "fidelity", "ladder", "coalitions", "results")
CONTROLS = """() => {
  const all = document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary,'
    + ' [tabindex="0"]');
  return [...all].filter(e => !e.disabled && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true})
    && !e.closest('dialog, [popover]') && !(e.type === 'radio' && !e.checked)).map((e, index) => {
      e.dataset.place = index;
      return e.outerHTML.slice(0, 160);
    });
}"""
"""Marks each control that a visitor sees, and returns what they are; of radio buttons one is in the tab order."""
FOCUSED = """() => {
  const e = document.activeElement;
  if (e === document.body) return null;
  const style = getComputedStyle(e);
  const shown = e.matches(':focus-visible') && (
    (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none');
  const box = e.getBoundingClientRect();
  const inWindow = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {place: Number(e.dataset.place ?? -1), shown, inWindow, html: e.outerHTML.slice(0, 160)};
}"""


@pytest.mark.parametrize("tab", TABS)
def test_every_control_is_reached_and_shows_its_focus(tab, visitor):
    visitor.open(tab, **({} if tab == "results" else {"model": COLOURS}))
    controls = visitor.page.evaluate(CONTROLS)
    reached, hidden = [], []
    for _ in range(len(controls) + 20):
        visitor.page.keyboard.press("Tab")
        focused = visitor.page.evaluate(FOCUSED)
        if focused is None:
            break
        reached.append(focused["place"])
        if not (focused["shown"] and focused["inWindow"]):
            hidden.append(focused["html"])
    assert hidden == []
    assert [controls[place] for place in sorted(set(range(len(controls))) - set(reached))] == []


def tab_to(page, name):
    """Press Tab until the control of that name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == name:
            return
    raise AssertionError(name)


def test_a_question_is_asked_by_the_keyboard_alone(visitor, library):
    visitor.open("explain", model=COLOURS)
    keys = visitor.page.keyboard
    tab_to(visitor.page, "class")
    keys.type("redder")
    visitor.page.locator("#question [role=option]:visible").first.wait_for()
    keys.press("Enter")
    library.check("explain", visitor.change(target="redder"), visitor.question)
    assert visitor.page.evaluate("document.activeElement.name") == "class"  # one goes on where one was
    tab_to(visitor.page, "utility")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Tab")  # before the pause after which arrow keys count by themselves
    visitor.page.wait_for_url("**utility=**")
    library.check("explain", visitor.answer(), visitor.question)
    tab_to(visitor.page, "method")
    keys.press("ArrowUp")
    visitor.page.wait_for_url("**method=**")
    library.check("explain", visitor.answer(), visitor.question)
    visitor.page.get_by_role("link", name="Explain", exact=True).focus()
    keys.press("ArrowRight")
    keys.press("Enter")
    visitor.page.wait_for_url("**/compare?**")
    library.check("compare", visitor.answer(), visitor.question)


def test_the_skip_link_leads_to_the_answer(visitor):
    visitor.open("explain", model=COLOURS)
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.getElementById('answer').contains(document.activeElement)")
