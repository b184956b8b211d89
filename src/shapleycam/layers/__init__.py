"""Which layer to explain at, and how its activation is laid out."""

from shapleycam.layers.audit import Audit, Candidate, audit, layout_at
from shapleycam.layers.choice import BEFORE_POOL, LAST_CONV, RULES, before_pool, chosen, last_conv, rule_of

__all__ = ["BEFORE_POOL", "LAST_CONV", "RULES", "Audit", "Candidate", "audit", "before_pool", "chosen", "last_conv",
           "layout_at", "rule_of"]  # fmt: skip
