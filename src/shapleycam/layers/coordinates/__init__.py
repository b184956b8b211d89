"""The places of the image that each element of each tensor of a pass stems from, followed operation by operation."""

from shapleycam.layers.coordinates.places import Places
from shapleycam.layers.coordinates.tracker import Tracker

__all__ = ["Places", "Tracker"]
