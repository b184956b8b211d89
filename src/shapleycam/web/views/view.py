"""What a view is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shapleycam.web.addresses import picture_address
from shapleycam.web.resolved import ABOUT_A_PHOTOGRAPH, ABOUT_MAPS, ABOUT_PLAYERS, ResolvedQuestion

__all__ = ["ABOUT_A_PHOTOGRAPH", "ABOUT_MAPS", "ABOUT_PLAYERS", "Render", "View", "picture_address"]

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
        controls: the template of controls that only this view has, which the panel's form includes; "" for none.
        lasts: whether the same question always has the same answer, which then is cached.
        part_of: the name of the tab whose answer contains it, and which requests it separately; "" for a tab.

    Examples:
        >>> from shapleycam.web.views import VIEWS
        >>> VIEWS["explain"].title
        'Explain'
    """

    name: str
    title: str
    fields: tuple[str, ...]
    answer: Callable[[ResolvedQuestion, Render], Iterator[str]]
    controls: str = ""
    part_of: str = ""
    lasts: bool = True

    @property
    def tab(self) -> str:
        """Return the name of the tab on which it is shown."""
        return self.part_of or self.name
