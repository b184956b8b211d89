"""The bridge from layers to the input: how close values at each layer come to the input's, and at what price."""

from shapleycam.bridge._ladder import Ladder, ladder
from shapleycam.bridge.plan import LadderPlan, RungPlan, plan_ladder

__all__ = ["Ladder", "LadderPlan", "RungPlan", "ladder", "plan_ladder"]
