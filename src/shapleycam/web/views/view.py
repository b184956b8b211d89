"""What a view is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shapleycam.web.resolved import ResolvedQuestion

Render = Callable[..., str]
"""Renders a template of the page: its name, and what it shows as keywords."""


@dataclass(frozen=True)
class View:
    """One tab of the page.

    Attributes:
        name: in addresses.
        title: on the tab.
        fields: the fields of the question that its answer depends on; no other can change it.
        answer: makes the answer in steps, each the whole HTML, in a thread; the last step is the answer.
    """

    name: str
    title: str
    fields: tuple[str, ...]
    answer: Callable[[ResolvedQuestion, Render], Iterator[str]]


ABOUT_A_PHOTOGRAPH = ("photo", "model", "layer", "target", "against", "utility")
"""The fields of every view of a photograph."""


def picture_address(resolved: ResolvedQuestion, kind: str, **changes: str) -> str:
    """Return the address of a picture of a question, relative to the page's."""
    return f"picture?{resolved.question.but(**changes).address(kind=kind)}"
