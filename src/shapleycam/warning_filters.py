"""Filters of other libraries' warnings, for the whole process, while at least one thread is inside."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any, cast

from shapleycam.process_switches import ProcessSwitch


def ignoring_warnings_of(modules: str, raised: type[Warning] | None = None) -> ProcessSwitch:
    """Return a switch that ignores the warnings of some modules, but raises those of one category.

    Not `warnings.catch_warnings`, which restores the filters of the process: of two threads that overlap the last one
    puts back the other's, and keeps warnings silent for good (docs/decisions.md, "Threads do not restore each other's
    warning filters"). Here entries are added, and just these are removed.

    Args:
        modules: a pattern of the names of modules; by it the entries are known, so that it is nobody else's.
        raised: the category that is raised.

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
            with suppress(ValueError):  # another thread has replaced the list
                cast("list[Any]", warnings.filters).remove(entry)

    return ProcessSwitch(add, remove)
