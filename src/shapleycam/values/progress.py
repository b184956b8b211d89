"""The type of functions to which estimators report their progress; they can end the work by an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, float], None]
"""A function that is called between batches with the number of orders so far and the largest
‖standard error‖ / ‖values‖; or, by exact methods, with the number of coalitions so far and NaN."""
