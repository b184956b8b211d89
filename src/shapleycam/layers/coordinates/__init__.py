"""Track, operation by operation, from which place of the image each element of each tensor in a pass is computed."""

from shapleycam.layers.coordinates.representation import Coordinates
from shapleycam.layers.coordinates.tracker import CoordinateTracker

__all__ = ["CoordinateTracker", "Coordinates"]
