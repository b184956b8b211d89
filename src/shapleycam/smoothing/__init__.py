"""Smoothing of any method's map: an average over changed images, or the first principal component over channels."""

from shapleycam.smoothing.table import SMOOTHINGS, Smooth, SmoothChoice, parse_smoothing, smoothing_name

__all__ = ["SMOOTHINGS", "Smooth", "SmoothChoice", "parse_smoothing", "smoothing_name"]
