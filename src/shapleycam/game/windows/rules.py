"""Table of the rules for operations whose result has positions: each row depends only on a window of positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from shapleycam.game.attention.moves import MOVES
from shapleycam.game.attention.operation import Operation
from shapleycam.game.windows.forms import Form, PositionMap
from shapleycam.game.windows.row_rules import apply_channel_product, apply_norm, apply_reduction, apply_stack
from shapleycam.game.windows.window_rules import (
    apply_cat,
    apply_convolution,
    apply_cut,
    apply_max_pooling,
    apply_padding,
)

Rule: TypeAlias = "Callable[[Operation, Sequence[PositionMap | None]], Sequence[Form] | None]"
"""A function of a call and the forms of its tensors that returns the forms of its results; None if they are unknown."""

_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
_REDUCTIONS = (
    *("mean", "sum", "amax", "amin", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm", "logsumexp"),
    *("prod", "native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm", "_softmax", "_safe_softmax"),
    "_log_softmax",
)
MOVE_NAMES = frozenset(MOVES)
RULES: dict[str, Rule] = {
    **dict.fromkeys(_NORMS, apply_norm),
    **dict.fromkeys(_REDUCTIONS, apply_reduction),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm", "linear"), apply_channel_product),
    "convolution": apply_convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices"), apply_max_pooling),
    **dict.fromkeys(("select", "slice", "split", "split_with_sizes", "unbind", "chunk"), apply_cut),
    **dict.fromkeys(
        (f"{kind}_pad{dims}d" for kind in ("reflection", "replication") for dims in (1, 2, 3)), apply_padding
    ),
    "constant_pad_nd": apply_padding,
    "cat": apply_cat,
    "stack": apply_stack,
}
"""The rules by the names of PyTorch's operations. Pointwise operations are not listed: PyTorch's tags identify them."""
