"""Tracks, operation by operation, which coordinates of the image each element of each tensor of a pass stems from."""

from shapleycam.layers.coordinates.representation import Coordinates
from shapleycam.layers.coordinates.tracker import CoordinateTracker

__all__ = ["CoordinateTracker", "Coordinates"]
