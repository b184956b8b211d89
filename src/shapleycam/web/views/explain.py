"""The first tab: what the model says, where the evidence is, how sure that is, and what to try next."""

from __future__ import annotations

from collections.abc import Iterator

from shapleycam.web.explain_content import explain_content
from shapleycam.web.explained import explained
from shapleycam.web.input_games import is_watched
from shapleycam.web.resolved import ResolvedQuestion
from shapleycam.web.sampling_content import sampling_states
from shapleycam.web.views.view import ABOUT_A_PHOTOGRAPH, ABOUT_MAPS, ABOUT_PLAYERS, Render, View

__all__ = ["VIEW", "explained"]


def _answer(resolved: ResolvedQuestion, render: Render) -> Iterator[str]:
    if is_watched(resolved):
        yield from sampling_states(resolved, render)
    yield render("explain.html", **explain_content(resolved, explained(resolved)))


VIEW = View("explain", "Explain", (*ABOUT_A_PHOTOGRAPH, "method", *ABOUT_PLAYERS, *ABOUT_MAPS), _answer)
