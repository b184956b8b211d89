"""Stopping a command that goes on later: by Ctrl-C, by the end of the terminal, or by the system."""

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
"""What a terminal needs where a live display could not give the cursor back."""


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by the first signal that stops the process."""


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Let a signal end the process at once, with one line that says how to go on, while the context lasts.

    For start-up, where nothing needs cleaning up: an exception would be raised inside imports, and some swallow it.
    """
    process = os.getpid()
    before = _handle_signals(lambda number, _: _end_at_once(number, process))
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def stopping(describe: Callable[[], str]) -> Iterator[None]:
    """Let the first signal raise `Stopped` while the context lasts, so that all is cleaned up; then print one line.

    A second signal ends the process at once. The line, which `describe` returns, says how to go on.

    Raises:
        typer.Exit: with 128 and the number of the signal, as shells have it.
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
        # Packages with handlers of their own, such as Ray, answer SIGTERM by SystemExit.
        exit_code = 128 + (signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
    except BaseException:
        if not received:  # otherwise code that was interrupted has made another exception of `Stopped`
            raise
    else:
        if not received:
            return
    finally:
        if not received:
            _restore(before)
    line = describe()
    if received:
        _handle_signals(signal.SIG_IGN)  # nothing is left to be done but to end
    with suppress(OSError):  # the terminal may be gone
        print_note(line)
    raise typer.Exit(128 + received[0] if received else exit_code) from None


@contextmanager
def _ending_where_lost(received: list[int]) -> Iterator[None]:
    """End the process where `Stopped` was raised in what cannot raise, such as a finaliser, and Python drops it."""
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
    """Let a handler handle the signals, and return the handlers before it.

    Signals that the process was started to ignore (nohup) stay ignored; only the main thread can handle any.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in numbers}


def _restore(handlers: dict[int, Any]) -> None:
    """Put handlers back, except where the process is ending and ignores its signals."""
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _end_at_once(number: int, process: int) -> NoReturn:
    """End this process: the command's `process` after its workers and a line on stderr, a worker silently."""
    if os.getpid() == process:
        _handle_signals(signal.SIG_IGN)
        for child in multiprocessing.active_children():
            child.kill()
        cursor = _SHOW_CURSOR if sys.stderr.isatty() else ""
        with suppress(OSError):
            # Not by sys.stderr, which the signal may have interrupted in the middle of a line.
            os.write(2, f"{cursor}note: {_LINE}\n".encode())
    os._exit(128 + number)
