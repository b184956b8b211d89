"""Class activation maps: the table of methods, their bases and spreads, and heatmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.lazy_names import import_name

if TYPE_CHECKING:
    from shapleycam.cams.method import Method
    from shapleycam.cams.table import METHODS, method_of, methods

_MODULE_OF = {
    "METHODS": "table",
    "Method": "method",
    "method_of": "table",
    "methods": "table",
}

__all__ = [
    "METHODS",
    "Method",
    "method_of",
    "methods",
]


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return sorted(__all__)
