"""Smoothing of any method's map: by changed images that are averaged, or by the first component of its channels."""

from shapleycam.smoothing.table import SMOOTHINGS, Smooth, SmoothChoice, parse_smoothing, smoothing_name

__all__ = ["SMOOTHINGS", "Smooth", "SmoothChoice", "parse_smoothing", "smoothing_name"]
