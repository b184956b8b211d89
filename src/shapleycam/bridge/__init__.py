"""The bridge from layers to the input: how close the values at each layer are to the input's, and what they cost."""

from shapleycam.bridge._ladder import Ladder, ladder
from shapleycam.bridge.plan import LadderPlan, RungPlan, plan_ladder

__all__ = ["Ladder", "LadderPlan", "RungPlan", "ladder", "plan_ladder"]
