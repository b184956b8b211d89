"""Rows of the tables that have a property in common, so that a test of the property has every such row."""

from __future__ import annotations

from shapleycam import METHODS
from shapleycam.utilities import UTILITIES

OF_EXCLUSIVE_CLASSES = [name for name, utility in UTILITIES.items() if utility.predicts and not utility.multi_label]
"""Utilities of classes of which an image has one: rest, logit, ..."""


OF_EVERY_MODEL = [name for name, method in METHODS.items() if not method.basis.is_conditional]
"""Methods that every model has; those of models that have what they need are in tests/cams/test_conditional_rows.py."""
OF_SOME_MODELS = [name for name in METHODS if name not in OF_EVERY_MODEL]
