"""Run-time checks of annotations: in every eighth test, of each function's first calls.

A check costs up to a tenth of a millisecond, which was a third of the time of tests of small networks. A loop's later
calls show nothing new, nor do most of a test's siblings. Which tests are checked depends on their names alone, so that
a test does the same in any order and on any worker.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jaxtyping

CALLS = 3
"""Calls of a function that are checked in such a test."""
EVERY = 8
"""One test in so many is checked."""

_tests_begun = 0
_is_checked = True


def install(modules: Sequence[str]) -> None:
    """Check what these modules' functions and dataclasses take and return, from when the modules are imported."""
    jaxtyping.jaxtyped = functools.partial(_first_calls_checked, jaxtyping.jaxtyped)
    jaxtyping.install_import_hook(modules, "beartype.beartype")


def begin_test(nodeid: str) -> None:
    """Check the first calls anew, where this is a test that is checked."""
    global _tests_begun, _is_checked  # noqa: PLW0603  each call compares them
    _tests_begun += 1
    _is_checked = zlib.crc32(nodeid.encode()) % EVERY == 0


def _first_calls_checked(check: Callable[..., Any], *, typechecker: Callable[..., Any]) -> Callable[..., Any]:
    """Return the decorator that jaxtyping's import hook gives every function and class."""

    def decorate(decorated: Any) -> Any:
        if not inspect.isclass(decorated):
            return _limited(decorated, functools.partial(check, typechecker=typechecker))
        if dataclasses.is_dataclass(decorated):
            decorated.__init__ = _limited(decorated.__init__, functools.partial(check, typechecker=typechecker))
        return decorated

    return decorate


def _limited(unchecked: Callable[..., Any], check: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that checks its first calls in a test that is checked.

    The check is compiled, for milliseconds, when it is first needed: most functions of a process need none, and a
    function inside another would get one with each call of the outer.
    """
    checked: Callable[..., Any] | None = None
    test, calls = -1, 0

    @functools.wraps(unchecked)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal test, calls, checked
        if not _is_checked:
            return unchecked(*args, **kwargs)
        if test != _tests_begun:
            test, calls = _tests_begun, 0
        if calls == CALLS:
            return unchecked(*args, **kwargs)
        calls += 1
        if checked is None:
            checked = check(unchecked)
        return checked(*args, **kwargs)

    return call
