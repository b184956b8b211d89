"""Live displays on the terminal, which are removed while something is printed, so that they never share a line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_SHOWN: list[LiveDisplay] = []
"""The displays on the terminal now; a command has at most one."""


class LiveDisplay(Protocol):
    """A display that rich redraws repeatedly at the end of the output, such as a progress bar."""

    def start(self) -> None:
        """Begin to draw the display."""

    def stop(self) -> None:
        """Remove the display from the terminal."""


@contextmanager
def shown(display: LiveDisplay) -> Iterator[None]:
    """Show a display inside the context."""
    display.start()
    _SHOWN.append(display)
    try:
        yield
    finally:
        _SHOWN.remove(display)
        display.stop()


@contextmanager
def giving_way(console: Console) -> Iterator[None]:
    """Remove the displays from the terminal inside the context, for printing; stdout and stderr share the terminal."""
    hidden = list(_SHOWN) if console.is_terminal else []
    for display in hidden:
        display.stop()
    try:
        yield
    finally:
        for display in hidden:
            display.start()
