"""Engines, which run the work of an evaluation: in this process, or on a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.experiments.engines.engine import Engine
from shapleycam.experiments.engines.local import Local
from shapleycam.lazy_names import import_name

if TYPE_CHECKING:
    from shapleycam.experiments.engines.ray import Ray

__all__ = ["Engine", "Local", "Ray"]


def __getattr__(name: str) -> Any:
    """Import the Ray engine, which imports pyarrow, on first use."""
    return import_name(__name__, {"Ray": "ray"}, name)
