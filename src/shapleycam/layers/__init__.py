"""Which layer to explain at, and how its activation is laid out."""

from shapleycam.layers._audit import Audit, Candidate, audit
from shapleycam.layers.choice import BEFORE_POOL, LAST_CONV, RULES, before_pool, chosen, last_conv, rule_of
from shapleycam.layers.layout import layout_at
from shapleycam.layers.proof import Solid, channel_axis, check_solid, share_proofs

__all__ = ["BEFORE_POOL", "LAST_CONV", "RULES", "Audit", "Candidate", "Solid", "audit", "before_pool",
           "channel_axis", "check_solid", "chosen", "last_conv", "layout_at", "rule_of", "share_proofs"]  # fmt: skip
