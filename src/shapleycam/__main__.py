"""The program `shapleycam`: the command line, which answers Ctrl-C in one line from its first moment on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line."""
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.default_int_handler:  # not where the process was started to ignore it
        signal.signal(signal.SIGINT, _end)
    from shapleycam.allocator import keep_large_blocks
    from shapleycam.cli import main as run_command_line

    signal.signal(signal.SIGINT, previous)
    if sys.argv[1:2] != ["web"]:  # which sets what a server wants
        keep_large_blocks()
    try:
        run_command_line()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to be done but to end


def _end(number: int, _: object) -> None:
    """End the process while it imports the command line: nothing was done, and an exception would be a traceback."""
    with suppress(OSError):
        os.write(2, b"note: stopped before anything was done\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
