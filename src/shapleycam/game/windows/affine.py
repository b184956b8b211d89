"""Which operations are affine functions of those of their operands that depend on the activation."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.game.attention.operation import Operation
from shapleycam.game.windows.forms import CONSTANT, Form
from shapleycam.game.windows.rules import MOVE_NAMES

_IN_ALL = MOVE_NAMES | {
    *("add", "sub", "rsub", "neg", "clone", "_to_copy", "alias", "contiguous", "cat", "stack", "select", "slice"),
    *("split", "split_with_sizes", "unbind", "mean", "sum", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d"),
    *("_adaptive_avg_pool3d", "index_select", "gather", "index"),
}
"""Operations that are affine in all operands together."""
_PRODUCTS = {"mul", "addcmul", "mm", "bmm", "addmm", "baddbmm", "linear", "dot", "mv"}
"""Operations that are affine where a single operand depends on the activation."""
_IN_FIRST = {"div", "convolution", "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training"}
"""Operations that are affine in their first operand, where the others are constants."""


def keeps_affine(operation: Operation, forms: Sequence[Form]) -> bool:
    """Return whether an operation is affine in its operands that depend on the activation, which have these forms."""
    name = operation.name.removesuffix("_")
    depends = [form is not CONSTANT for form in forms]
    if name == "div" and operation.argument("rounding_mode") is not None:
        return False
    if name in _IN_FIRST:
        is_fixed = "norm" not in name or name.endswith("no_training") or operation.argument("training") is False
        return depends[0] and not any(depends[1:]) and is_fixed
    return name in _IN_ALL or (name in _PRODUCTS and sum(depends) == 1)
