"""An engine on a Ray cluster; no other folder of the package imports Ray."""

from shapleycam.experiments.engines.ray.engine import Ray

__all__ = ["Ray"]
