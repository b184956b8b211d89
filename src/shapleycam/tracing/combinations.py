"""Outputs that softmaxes and sigmoids are combined to: means of ensembles, sums of classes, products, bounds.

Read from autograd's graph, from the output back. What is combined by sums, products and means of bounded numbers is
bounded itself, and no logit; a linear layer or a division by something computed ends the reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from shapleycam.tracing.graph import ACTIVATIONS, ONE_TENSORS, only_operand
from shapleycam.tracing.nonlinearities import Nonlinearity

_COMBINING = re.compile(
    "(Add|Sub|Rsub|Neg|Mul|Div|Pow|Sqrt|Lerp|Where|MaskedFill|NanToNum|Mean|Sum|Prod|Cumprod|Max|Min|Maximum|Minimum|"
    "Amax|Amin|Median|Kthvalue|Stack|Cat|Topk|Sort|AvgPool[23]D|AdaptiveAvgPool[23]D|MaxPool[23]DWithIndices|"
    "AdaptiveMaxPool[23]D|Upsample(Nearest|Bilinear|Bicubic)2D(Aa)?)Backward[0-9]*"
)
_BOUNDED: dict[str, Nonlinearity] = {"ErfBackward0": "sigmoid", "SpecialNdtrBackward0": "sigmoid"}
_STEPS = re.compile("(Round|Floor|Ceil|Trunc|Sign|Heaviside)Backward[0-9]*")
_ORDERINGS = re.compile("(Topk|Sort)Backward[0-9]*")


def combined_of(output: Tensor) -> frozenset[Nonlinearity]:
    """Return the kinds of softmaxes and sigmoids that an output is combined of; empty where anything else enters it."""
    kinds: set[Nonlinearity] = set()
    for node in _combination(output):
        name = node.name()
        end = ACTIVATIONS.get(name) or _BOUNDED.get(name) or ("sigmoid" if _is_kept_between_0_and_1(node) else None)
        if end in {"softmax", "sigmoid"}:
            kinds.add(end)
        elif not _combines(node):
            return frozenset()
    return frozenset(kinds)


def is_rounded(output: Tensor) -> bool:
    """Return whether an output is rounded last, which leaves no derivative."""
    return any(_STEPS.fullmatch(node.name()) for node in _combination(output))


def is_sorted(output: Tensor) -> bool:
    """Return whether the columns of an output (b, n) are in the order of their numbers (sort, topk)."""
    node: Any = output.grad_fn
    while node is not None and (ONE_TENSORS.fullmatch(node.name()) or node.name() in ACTIVATIONS):
        node = only_operand(node)
    if node is None or output.dim() != 2 or not _ORDERINGS.fullmatch(node.name()):
        return False
    dim = int(node._saved_dim)  # noqa: SLF001  # saved for backward; unsigned where it was negative
    return dim not in {0, 2**64 - 2, -2}


def _combination(output: Tensor) -> Iterator[Any]:
    """The operations that combine what an output consists of, and those at which the reading ends."""
    seen: set[Any] = set()
    ahead = [output.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if _combines(node) and not _is_kept_between_0_and_1(node):
            ahead.extend(operand for operand, _ in node.next_functions)


def _combines(node: Any) -> bool:
    name = node.name()
    if name.startswith("DivBackward"):  # by a constant; p / (1 - p) is not bounded
        return node.next_functions[1:] in {(), ((None, 0),)}
    return bool(_COMBINING.fullmatch(name) or ONE_TENSORS.fullmatch(name) or _STEPS.fullmatch(name))


def _is_kept_between_0_and_1(node: Any) -> bool:
    """Whether it is a clamp to [0, 1]."""
    if node.name() == "ClampBackward1":
        bounds = (node._saved_min, node._saved_max)  # noqa: SLF001
    elif node.name() == "HardtanhBackward0":
        bounds = (node._saved_min_val, node._saved_max_val)  # noqa: SLF001
    else:
        return False
    return all(isinstance(bound, (int, float)) for bound in bounds) and bounds == (0, 1)
