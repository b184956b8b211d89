"""Run-time checks of annotations, of each function's first calls in a test: a loop's later calls show nothing new.

A check costs up to a tenth of a millisecond, which was a third of the time of tests of small networks.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jaxtyping

CALLS = 3
"""Calls of a function that are checked in each test."""

_tests_begun = 0


def install(modules: Sequence[str]) -> None:
    """Check what these modules' functions and dataclasses take and return, from when the modules are imported."""
    jaxtyping.jaxtyped = functools.partial(_first_calls_checked, jaxtyping.jaxtyped)
    jaxtyping.install_import_hook(modules, "beartype.beartype")


def begin_test() -> None:
    """Check the first calls anew."""
    global _tests_begun  # noqa: PLW0603  each call compares it
    _tests_begun += 1


def _first_calls_checked(check_all: Callable[..., Any], *, typechecker: Callable[..., Any]) -> Callable[..., Any]:
    """Return the decorator that jaxtyping's import hook gives every function and class."""

    def decorate(decorated: Any) -> Any:
        if not inspect.isclass(decorated):
            return _limited(decorated, check_all(decorated, typechecker=typechecker))
        if dataclasses.is_dataclass(decorated):
            unchecked = decorated.__init__
            check_all(decorated, typechecker=typechecker)
            decorated.__init__ = _limited(unchecked, decorated.__init__)
        return decorated

    return decorate


def _limited(unchecked: Callable[..., Any], checked: Callable[..., Any]) -> Callable[..., Any]:
    test, calls = -1, 0

    @functools.wraps(unchecked)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal test, calls
        if test != _tests_begun:
            test, calls = _tests_begun, 0
        if calls == CALLS:
            return unchecked(*args, **kwargs)
        calls += 1
        return checked(*args, **kwargs)

    return call
