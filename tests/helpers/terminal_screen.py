"""A terminal of this process: a pseudo-terminal for stdout and stderr, and what it shows in the end."""

from __future__ import annotations

import os
import re
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE = re.compile(r"\x1b\[\??([\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
"""A command of rich's (cursor up, line erased, colours, cursor hidden), a line end, or text."""


class Terminal:
    """What was written to a pseudo-terminal, and the lines that it shows."""

    def __init__(self) -> None:
        self._written = bytearray()

    def collect(self, handle: int) -> None:
        """Read until the other end is closed."""
        while True:
            try:
                content = os.read(handle, 65536)
            except OSError:  # how Linux says that it was closed
                return
            if not content:
                return
            self._written += content

    @property
    def text(self) -> str:
        """Return all that was written, with the commands in it."""
        return self._written.decode()

    @property
    def lines(self) -> list[str]:
        """Return the lines that are shown in the end; the terminal is as wide as any of them."""
        lines, row, column = [""], 0, 0
        for match in _PIECE.finditer(self.text):
            piece, command = match[0], match[2]
            if piece == "\r":
                column = 0
            elif piece == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif command == "A":
                row = max(0, row - int(match[1] or 1))
            elif command == "K":
                lines[row] = "" if match[1] == "2" else lines[row][:column]
            elif command is None:
                lines[row] = f"{lines[row][:column]:<{column}}{piece}{lines[row][column + len(piece) :]}"
                column += len(piece)
        return [line.rstrip() for line in lines]


@contextmanager
def open_terminal() -> Iterator[tuple[Terminal, int]]:
    """Open a pseudo-terminal; the lines are there when the context, and what writes to the handle, has ended."""
    reading, writing = os.openpty()
    tty.setraw(writing)  # so that a line ends as it was written
    terminal = Terminal()
    reader = threading.Thread(target=terminal.collect, args=(reading,))
    reader.start()
    try:
        yield terminal, writing
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)
