"""Class activation maps: the table of methods, their bases and spreads, and heatmaps."""

from shapleycam.cams.table import METHODS, Method, method_of, methods

__all__ = ["METHODS", "Method", "method_of", "methods"]
