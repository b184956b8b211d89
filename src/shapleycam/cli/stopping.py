"""Stopping a command that can be continued later: by Ctrl-C, by closing the terminal, or by the system."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from shapleycam.cli.console import print_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_LINE = "stopped; what was measured is kept, and the same command goes on from there"
_SHOW_CURSOR = "\x1b[?25h"
"""The escape sequence that shows the cursor, which a live display hid and could not show again."""


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by the first signal that stops the process."""


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the process at once if a signal arrives inside the context, with one line that says how to continue.

    This is for start-up, when nothing needs cleaning up. An exception would be raised inside imports, and some packages
    catch it.
    """
    process = os.getpid()
    before = _handle_signals(lambda number, _: _end_at_once(number, process))
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def stopping(describe: Callable[[], str]) -> Iterator[None]:
    """Raise `Stopped` at the first signal inside the context, so that everything is cleaned up, then print one line.

    A second signal ends the process at once. `describe` returns the line, which says how to continue.

    Raises:
        typer.Exit: with exit code 128 + the signal's number, the convention of shells.
    """
    process = os.getpid()
    received: list[int] = []
    exit_code = 0

    def handle(number: int, _: object) -> None:
        received.append(number)
        if len(received) > 1 or os.getpid() != process:
            _end_at_once(number, process)
        raise Stopped

    before = _handle_signals(handle)
    try:
        with _ending_where_lost(received):
            yield
    except (KeyboardInterrupt, SystemExit) as error:
        # Packages with their own signal handlers, such as Ray, raise SystemExit on SIGTERM.
        exit_code = 128 + (signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
    except BaseException:
        if not received:  # after a signal, the interrupted code has converted `Stopped` to another exception
            raise
    else:
        if not received:
            return
    finally:
        if not received:
            _restore(before)
    line = describe()
    if received:
        _handle_signals(signal.SIG_IGN)  # the process is ending, so further signals must not interrupt it
    with suppress(OSError):  # the terminal may be gone
        print_note(line)
    raise typer.Exit(128 + received[0] if received else exit_code) from None


@contextmanager
def _ending_where_lost(received: list[int]) -> Iterator[None]:
    """End the process if `Stopped` is raised where Python ignores exceptions, such as in a finaliser."""
    show, process = sys.unraisablehook, os.getpid()

    def handle(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            _end_at_once(received[0], process)
        show(unraisable)

    sys.unraisablehook = handle
    try:
        yield
    finally:
        sys.unraisablehook = show


def _handle_signals(handler: Any) -> dict[int, Any]:
    """Install a handler for the signals, and return the previous handlers.

    Signals that the process was started to ignore (nohup) stay ignored. Outside of the main thread nothing is done,
    because only the main thread can handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in numbers}


def _restore(handlers: dict[int, Any]) -> None:
    """Restore previous handlers, except for signals that the process ignores because it is ending."""
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _end_at_once(number: int, process: int) -> NoReturn:
    """End this process: a worker silently; the command's own `process` after killing its workers and writing a line."""
    if os.getpid() == process:
        _handle_signals(signal.SIG_IGN)
        for child in multiprocessing.active_children():
            child.kill()
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        with suppress(OSError):
            # os.write, not sys.stderr, because the signal may have interrupted a write to sys.stderr.
            os.write(2, f"{cursor}note: {_LINE}\n".encode())
    os._exit(128 + number)
