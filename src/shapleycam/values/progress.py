"""How estimators report how far they are, so that whoever waits can watch, or end the work by an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, float], None]
"""Is called between batches with what was evaluated so far: the orders that were sampled, and the largest
‖standard error‖ / ‖values‖; or the coalitions of all, and NaN."""
