"""Filters for other libraries' warnings, active in the whole process while at least one thread needs them."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any, cast

from shapleycam.process_switches import ProcessSwitch


def ignoring_warnings_of(modules: str, raised: type[Warning] | None = None) -> ProcessSwitch:
    """Return a switch that ignores warnings from some modules, except one category, which it raises as errors.

    `warnings.catch_warnings` is not used, because it restores all filters of the process: if two threads overlap, the
    last one restores the filters that the other one had set, which silences warnings for good (docs/decisions.md,
    "Threads do not restore each other's warning filters"). This switch adds entries, and removes only these.

    Args:
        modules: a regular expression for the modules' names. It also identifies the entries to remove, so that no other
            filter may have the same one.
        raised: the category that is raised as an error.

    Examples:
        >>> import warnings
        >>> from shapleycam.warning_filters import ignoring_warnings_of
        >>> before = list(warnings.filters)
        >>> with ignoring_warnings_of(r"numpy(?:[.]|$)").hold():
        ...     len(warnings.filters) - len(before)
        1
        >>> list(warnings.filters) == before
        True
    """

    def add() -> None:
        warnings.filterwarnings("ignore", module=modules)
        if raised is not None:
            warnings.filterwarnings("error", category=raised, module=modules)

    def remove() -> None:
        for entry in [entry for entry in warnings.filters if getattr(entry[3], "pattern", None) == modules]:
            with suppress(ValueError):  # another thread may have replaced the list meanwhile
                cast("list[Any]", warnings.filters).remove(entry)

    return ProcessSwitch(add, remove)
