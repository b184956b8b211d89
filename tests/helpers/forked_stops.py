"""A process whose forks are stopped by signals, as commands are; it has no thread that could hold a lock at the fork.

It prints, as JSON, the exit code of each function of `CASES` and what that wrote to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import typer

from shapleycam.cli.stopping import ending_at_once, stopping


def send(name: str = "SIGINT") -> None:
    signal.raise_signal(getattr(signal, name))


def second_signal() -> None:
    with ending_at_once(), stopping(lambda: "never printed"):
        try:
            send()
        finally:
            send("SIGTERM")
            sys.stderr.write("goes on\n")


def signal_after_the_line() -> None:
    try:
        with ending_at_once(), stopping(lambda: "stopped"):
            send()
    finally:
        send()


class Finalised:
    def __del__(self) -> None:
        send()


def signal_inside_a_finaliser() -> None:
    with stopping(lambda: "never printed"):
        Finalised()
        sys.stderr.write("goes on\n")


def signal_before_there_is_anything() -> None:
    with ending_at_once():
        send("SIGHUP")
        sys.stderr.write("goes on\n")


def signal_of_a_new_worker() -> None:
    with stopping(lambda: "never printed"):
        worker = os.fork()
        if worker == 0:
            send()
        _, status = os.waitpid(worker, 0)
        raise typer.Exit(os.waitstatus_to_exitcode(status))


def terminal_that_is_gone() -> None:
    with stopping(lambda: "stopped"):
        os.close(2)
        send("SIGHUP")


CASES = (
    second_signal,
    signal_after_the_line,
    signal_inside_a_finaliser,
    signal_before_there_is_anything,
    signal_of_a_new_worker,
    terminal_that_is_gone,
)


def outcome(do: Callable[[], object], file: Path) -> tuple[int, str]:
    """Call a function in a fork, and return its exit code and what it wrote to stderr."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        code = 0
        try:
            do()
        except typer.Exit as exit_:
            code = exit_.exit_code
        except BaseException:  # noqa: BLE001  # as Python ends
            sys.excepthook(*sys.exc_info())
            code = 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), file.read_text(encoding="utf-8")


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):  # nohup takes the handlers away
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = {do.__name__: outcome(do, Path(folder, do.__name__)) for do in CASES}
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main()
