"""Find the layer to explain at, and prove the layout of its activation."""

from shapleycam.layers._audit import Audit, Candidate, audit
from shapleycam.layers.choice import (
    BEFORE_POOL,
    LAST_CONV,
    RULES,
    find_before_pool,
    find_last_conv,
    find_layer,
    parse_layer_rule,
)
from shapleycam.layers.image_channels import ImageKind, channel_axis, check_image_kind
from shapleycam.layers.layout import layout_at
from shapleycam.layers.layout_proofs import share_proofs
from shapleycam.layers.listing import layers_to_list

__all__ = [
    "BEFORE_POOL",
    "LAST_CONV",
    "RULES",
    "Audit",
    "Candidate",
    "ImageKind",
    "audit",
    "channel_axis",
    "check_image_kind",
    "find_before_pool",
    "find_last_conv",
    "find_layer",
    "layers_to_list",
    "layout_at",
    "parse_layer_rule",
    "share_proofs",
]
