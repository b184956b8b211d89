"""Heads that sum what windows of positions become, by weights of any kind: the proof of it, and the summands."""

from shapleycam.game.windows.analysis import prove_window_sum
from shapleycam.game.windows.window_sum import CallPlace, WindowSum

__all__ = ["CallPlace", "WindowSum", "prove_window_sum"]
