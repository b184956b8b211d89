"""Rows of the tables that have a property in common, so that a test of the property has every such row."""

from __future__ import annotations

from shapleycam import METHODS
from shapleycam.utilities import UTILITIES

OF_EXCLUSIVE_CLASSES = [name for name, utility in UTILITIES.items() if utility.predicts and not utility.multi_label]
"""Utilities of classes of which an image has one: rest, logit, ..."""

OF_SOME_MODELS = [name for name, method in METHODS.items() if method.basis.is_conditional]
"""Methods that some models refuse: tests/cams/test_conditional_rows.py has what holds for every row."""
OF_MASKED_IMAGES = [name for name, method in METHODS.items() if method.group == "masked images"]
"""Methods of many passes of the model: tests/cams/test_masked_images.py has what holds for every row."""
OF_EVERY_MODEL = [name for name in METHODS if name not in {*OF_SOME_MODELS, *OF_MASKED_IMAGES}]
"""Methods that every model has, by a few passes of it."""
