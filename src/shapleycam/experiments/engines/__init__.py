"""Engines: where the work of an evaluation is done, in this process or on a Ray cluster."""

from shapleycam.experiments.engines.engine import Engine
from shapleycam.experiments.engines.local import Local
from shapleycam.experiments.engines.ray import Ray

__all__ = ["Engine", "Local", "Ray"]
