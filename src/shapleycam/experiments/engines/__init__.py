"""Engines: where the work of an evaluation is done, in this process or on a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shapleycam.experiments.engines.engine import Engine
from shapleycam.experiments.engines.local import Local
from shapleycam.lazy_names import import_name

if TYPE_CHECKING:
    from shapleycam.experiments.engines.ray import Ray

__all__ = ["Engine", "Local", "Ray"]


def __getattr__(name: str) -> Any:
    """Import the engine of Ray, with pyarrow, when it is first used."""
    return import_name(__name__, {"Ray": "ray"}, name)
