"""Every control of every tab is reached by the keyboard alone, shows that it has the focus, and works."""

from __future__ import annotations

import pytest

from conftest import COLOURS

TABS = ("explain", "compare", "fidelity", "coalitions", "results")
CONTROLS = """() => {
  const all = document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary,'
    + ' [tabindex="0"]');
  return [...all].filter(e => !e.disabled && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true})
    && !e.closest('dialog, [popover]')).map((e, index) => {
      e.dataset.place = index;
      return e.outerHTML.slice(0, 160);
    });
}"""
"""Marks each control that a visitor sees, and returns what they are."""
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
def test_every_control_is_reached_and_shows_its_focus(tab, visit):
    visitor = visit()
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
