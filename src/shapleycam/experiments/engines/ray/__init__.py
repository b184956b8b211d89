"""Work on a Ray cluster; this folder is the only place that knows Ray."""

from shapleycam.experiments.engines.ray.engine import Ray

__all__ = ["Ray"]
