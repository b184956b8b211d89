"""Choices of a protocol that are known by name, and which of its fields may differ in one table."""

from __future__ import annotations

from typing import Literal

ClassRule = Literal["prediction", "label", "correct"]
ObjectRule = Literal["class", "any"]

MEASURED_FIELDS = ("layers", "utilities", "methods", "metrics")
"""What is measured, rather than how: results of protocols that differ in these alone may share a table."""
