"""Prove from its operations that a utility is an affine function of the model's output, such as a logit.

If the output is a sum over positions or windows, such a utility is a sum too, and Shapley values have a closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from shapleycam.game.head_recording import record_head

_AFFINE = {
    *("AddBackward0", "SubBackward0", "RsubBackward0", "RsubBackward1", "NegBackward0", "CatBackward0"),
    *("StackBackward0", "SumBackward0", "SumBackward1", "MeanBackward0", "MeanBackward1", "CloneBackward0"),
    *("AliasBackward0", "ToCopyBackward0", "GatherBackward0", "IndexBackward0", "IndexSelectBackward0"),
    *("SelectBackward0", "SliceBackward0", "ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0"),
    *("UnsqueezeBackward0", "SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2", "ExpandBackward0"),
    *("PermuteBackward0", "TransposeBackward0", "TBackward0", "UnbindBackward0"),
}
"""Operations that are affine in all their operands together."""
_PRODUCTS = {"MulBackward0", "MmBackward0", "MvBackward0", "DotBackward0", "AddmmBackward0", "LinearBackward0"}
"""Operations that are affine if only one operand depends on the output."""
_LEAF = "AccumulateGrad"


def is_affine(function: Callable[[Tensor], Any], output: Float[Tensor, "rows *out"]) -> bool:
    """Return whether the operations of a function of the output prove that it is affine.

    It is False for a function that reads the output without autograd (a detached tensor, a condition in Python).
    """
    recording = record_head(function, output)
    if not isinstance(recording.output, Tensor) or recording.hides_reads or recording.reads_without_grad:
        return False
    stack, seen = [recording.output.grad_fn], set[Any]()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        if node is None or not _keeps_affine(node):
            return False
        seen.add(node)
        stack.extend(operand for operand, _ in node.next_functions if operand is not None)
    return True


def _keeps_affine(node: Any) -> bool:
    name, depends = node.name(), [operand is not None for operand, _ in node.next_functions]
    if name == "DivBackward0":
        return depends == [True, False]
    return name in _AFFINE or name.endswith(_LEAF) or (name in _PRODUCTS and sum(depends) == 1)
