"""Find the operations that computed a model's output, by walking autograd's graph backwards from the output.

An ensemble returns means of softmaxes or sigmoids; other models return sums over classes, products or bounded values.
Sums, products and means of bounded numbers are bounded, so they are not logits. A linear layer, or a division by a
computed number, ends the search (docs/decisions.md, "What only sums, products and means of sigmoids and softmaxes make
is no logit").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from shapleycam.tracing.graph import nodes
from shapleycam.tracing.node_names import (
    BOUNDED_FUNCTIONS,
    COMBINING,
    HANDWRITTEN_SIGMOIDS,
    NONLINEARITIES,
    REARRANGING,
    ROUNDING,
    SCALING,
    SORTING,
    Nonlinearity,
    operation_of,
)
from shapleycam.tracing.torch_internals import saved, signed_dim

_BOUNDED_IF_OPERANDS_ARE = COMBINING | REARRANGING | ROUNDING


def last_nonlinearity(output: Tensor) -> Nonlinearity | None:
    """Return the softmax or sigmoid whose result, rearranged or clamped, is the output; None if there is none.

    A sigmoid that is written as arithmetic counts too.
    """
    node: Any = output.grad_fn
    while node is not None and operation_of(node.name()) in REARRANGING:
        node = _only_operand(node)
    if node is None:
        return None
    return "sigmoid" if _is_handwritten_sigmoid(node, output) else NONLINEARITIES.get(node.name())


def combined_nonlinearities(output: Tensor) -> frozenset[Nonlinearity]:
    """Return the kinds of softmaxes and sigmoids that an output combines; empty if it combines anything else."""
    kinds: set[Nonlinearity] = set()
    for node in _combination(output):
        name = node.name()
        kind = NONLINEARITIES.get(name) or BOUNDED_FUNCTIONS.get(name) or ("sigmoid" if _clamps_to_0_1(node) else None)
        if kind in {"softmax", "sigmoid"}:
            kinds.add(kind)
        elif _divides_by_own_sum(node):
            kinds.add("softmax")
        elif not _combines(node):
            return frozenset()
    return frozenset(kinds)


def scaled_nonlinearity(output: Tensor) -> Nonlinearity | None:
    """Return the softmax or sigmoid whose result, scaled and shifted by constants, is the output; None if none is."""
    node: Any = output.grad_fn
    while node is not None and operation_of(node.name()) in REARRANGING | SCALING:
        node = _only_operand(node)
    return None if node is None else NONLINEARITIES.get(node.name())


def is_rounded(output: Tensor) -> bool:
    """Return whether an output is rounded, so that it has no derivative."""
    return any(operation_of(node.name()) in ROUNDING for node in _combination(output))


def is_sorted(output: Tensor) -> bool:
    """Return whether the columns of an output (b, n) are sorted by value (sort, topk)."""
    node: Any = output.grad_fn
    while node is not None and (operation_of(node.name()) in REARRANGING or node.name() in NONLINEARITIES):
        node = _only_operand(node)
    if node is None or output.dim() != 2 or operation_of(node.name()) not in SORTING:
        return False
    return signed_dim(saved(node, "dim")) not in {0, -2}


def _combination(output: Tensor) -> Iterator[Any]:
    """Return the nodes that combine the parts of an output, and the nodes at which the walk ends."""
    return nodes(output, lambda node: _combines(node) and not _clamps_to_0_1(node))


def _combines(node: Any) -> bool:
    name = node.name()
    if name.startswith("DivBackward"):  # by a constant; p / (1 - p) is not bounded
        return node.next_functions[1:] in {(), ((None, 0),)}
    return operation_of(name) in _BOUNDED_IF_OPERANDS_ARE


def _divides_by_own_sum(node: Any) -> bool:
    """Return whether a node divides numbers by their sum, as a softmax that is written as arithmetic does."""
    if not node.name().startswith("DivBackward") or len(node.next_functions) < 2:
        return False
    numbers, total = (operand for operand, _ in node.next_functions[:2])
    while total is not None and operation_of(total.name()) in REARRANGING:
        total = _only_operand(total)
    return total is not None and operation_of(total.name()) == "Sum" and _only_operand(total) is numbers


def _clamps_to_0_1(node: Any) -> bool:
    """Return whether a node is a clamp to [0, 1]."""
    if node.name() == "ClampBackward1":
        bounds = (saved(node, "min"), saved(node, "max"))
    elif node.name() == "HardtanhBackward0":
        bounds = (saved(node, "min_val"), saved(node, "max_val"))
    else:
        return False
    return all(isinstance(bound, (int, float)) for bound in bounds) and bounds == (0, 1)


def _is_handwritten_sigmoid(node: Any, output: Tensor) -> bool:
    is_bounded = bool(((output.detach() >= 0) & (output.detach() <= 1)).all())
    return is_bounded and any(_ends_with(node, names) for names in HANDWRITTEN_SIGMOIDS)


def _ends_with(node: Any, names: tuple[str, ...]) -> bool:
    """Return whether the last operations have these names, each with one differentiable operand."""
    for name in names:
        if node is None or node.name() != name:
            return False
        node = _only_operand(node)
    return True


def _only_operand(node: Any) -> Any:
    """Return the node of the only differentiable operand; None where there are several or none."""
    operands = [operand for operand, _ in node.next_functions if operand is not None]
    return operands[0] if len(operands) == 1 else None
