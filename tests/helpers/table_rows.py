"""Rows of the tables that have a property in common, so that a test of the property has every such row."""

from __future__ import annotations

from shapleycam.utilities import UTILITIES

OF_EXCLUSIVE_CLASSES = [name for name, utility in UTILITIES.items() if utility.predicts and not utility.multi_label]
"""Utilities of classes of which an image has one: rest, logit, ..."""
