"""Live displays on the terminal, which give way to what is printed, so that the two never share a line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_SHOWN: list[LiveDisplay] = []
"""The displays that are on the terminal now; a command has one at most."""


class LiveDisplay(Protocol):
    """What rich draws anew again and again at the end of the output, such as a progress bar."""

    def start(self) -> None:
        """Draw it from now on."""

    def stop(self) -> None:
        """Remove it from the terminal."""


@contextmanager
def shown(display: LiveDisplay) -> Iterator[None]:
    """Show a display while the context lasts."""
    display.start()
    _SHOWN.append(display)
    try:
        yield
    finally:
        _SHOWN.remove(display)
        display.stop()


@contextmanager
def giving_way(console: Console) -> Iterator[None]:
    """Take the displays from the terminal while something is printed on it; both streams are one terminal."""
    hidden = list(_SHOWN) if console.is_terminal else []
    for display in hidden:
        display.stop()
    try:
        yield
    finally:
        for display in hidden:
            display.start()
