"""Signals that stop a command: one line, an exit code that shells know, and no traceback whatever comes at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import typer

from helpers import forked_stops
from helpers.forked_stops import send
from shapleycam.cli.stopping import Stopped, ending_at_once, stopping

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
AT_ONCE = "note: stopped; what was measured is kept, and the same command goes on from there\n"
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Let a test begin with Python's own handlers, which nohup takes away, and put back what there was before."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS}
    for name in SIGNALS:
        signal.signal(getattr(signal, name), signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[int, str]]:
    """The exit code of each function of `forked_stops`, called in a fork, and what it wrote to stderr."""
    ran = subprocess.run([sys.executable, forked_stops.__file__], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {name: (code, text) for name, (code, text) in json.loads(ran.stdout).items()}


def stopped_by(do: Callable[[], object], line: Callable[[], str] = lambda: "stopped") -> int:
    """Call a function that is stopped, and return the exit code."""
    with pytest.raises(typer.Exit) as caught, stopping(line):
        do()
    return caught.value.exit_code


@pytest.mark.parametrize("name", SIGNALS)
def test_the_first_signal_lets_the_command_clean_up(name, capsys):
    cleaned = []

    def do() -> None:
        try:
            send(name)
            pytest.fail("goes on")
        finally:
            cleaned.append("all")

    assert stopped_by(do, lambda: f"stopped; cleaned up: {cleaned}") == 128 + getattr(signal, name)
    assert capsys.readouterr().err == "note: stopped; cleaned up: ['all']\n"
    send(name)  # ignored: the command is at its end


def test_another_exception_that_was_made_of_it_is_a_stop_too(capsys):
    """Some packages turn whatever interrupts their import into an ImportError."""

    def do() -> None:
        try:
            send()
        except KeyboardInterrupt:
            raise ImportError("cannot be imported") from None

    assert stopped_by(do) == 130
    assert capsys.readouterr().err == "note: stopped\n"


def test_a_signal_whose_exception_was_swallowed_is_a_stop_too(capsys):
    def do() -> None:
        with suppress(KeyboardInterrupt):
            send()

    assert stopped_by(do) == 130
    assert capsys.readouterr().err == "note: stopped\n"


def test_a_package_that_answers_sigterm_by_an_exit(capsys):
    """As Ray does, which has a handler of its own."""
    assert stopped_by(lambda: sys.exit(1)) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "note: stopped\n"


def test_without_a_signal_nothing_changes(capsys):
    before = [signal.getsignal(getattr(signal, name)) for name in SIGNALS]
    with stopping(lambda: "stopped"):
        pass
    with pytest.raises(ValueError, match="mine"), stopping(lambda: "stopped"):
        raise ValueError("mine")
    with ending_at_once():
        pass
    assert [signal.getsignal(getattr(signal, name)) for name in SIGNALS] == before
    assert capsys.readouterr().err == ""


def test_a_signal_that_the_process_was_started_to_ignore_stays_ignored():
    """As by nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ending_at_once(), stopping(lambda: "stopped"):
        send("SIGHUP")


def test_the_second_signal_ends_the_process_at_once(outcomes):
    assert outcomes["second_signal"] == (128 + signal.SIGTERM, AT_ONCE)


def test_signals_after_the_line_are_ignored(outcomes):
    assert outcomes["signal_after_the_line"] == (130, "note: stopped\n")


def test_a_signal_inside_a_finaliser_ends_the_process_at_once(outcomes):
    assert outcomes["signal_inside_a_finaliser"] == (130, AT_ONCE)


def test_a_signal_before_there_is_anything_to_clean_up(outcomes):
    assert outcomes["signal_before_there_is_anything"] == (128 + signal.SIGHUP, AT_ONCE)


def test_a_worker_that_has_just_been_forked_says_nothing(outcomes):
    assert outcomes["signal_of_a_new_worker"] == (130, "")


def test_a_terminal_that_is_gone(outcomes):
    assert outcomes["terminal_that_is_gone"] == (128 + signal.SIGHUP, "")


def test_stopped_is_an_interrupt():
    """So that code which cleans up after Ctrl-C does so here."""
    assert issubclass(Stopped, KeyboardInterrupt)
