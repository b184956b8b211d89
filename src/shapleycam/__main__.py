"""The program `shapleycam`: the command line, which answers Ctrl-C with one line even while it starts."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line."""
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.default_int_handler:  # a process that was started to ignore the signal keeps ignoring it
        signal.signal(signal.SIGINT, _end)
    from shapleycam.allocator import keep_large_blocks
    from shapleycam.cli import main as run_command_line

    signal.signal(signal.SIGINT, previous)
    if sys.argv[1:2] != ["web"]:  # `web` makes the settings for a server itself
        keep_large_blocks()
    try:
        run_command_line()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is done, so Ctrl-C must not print a traceback now


def _end(number: int, _: object) -> None:
    """End the process on a signal during imports: nothing was done yet, and an exception would print a traceback."""
    with suppress(OSError):
        os.write(2, b"note: stopped before anything was done\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
