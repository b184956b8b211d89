"""Test whether numbers are probabilities, by their sum over classes and the derivative of this sum.

Logits may happen to be positive and to sum to 1. The sum of probabilities is the same for every input as well, so its
derivative is zero (docs/decisions.md, "Numbers prove probabilities only with their derivative").
"""

from __future__ import annotations

import torch
from torch import Tensor

from shapleycam.errors import DerivativeError, ModelError
from shapleycam.tracing.graph import gradients, nodes
from shapleycam.tracing.node_names import EXPONENTIALS, LOGARITHMS

ROUNDING_TOLERANCE = 1e-4
"""How far the sum of probabilities may be from 1 because of rounding."""
CLAMPING_TOLERANCE = 1e-2
"""The same for a softmax whose results are clamped away from 0 and 1."""
_CONSTANT = 1e-3
"""A gradient of the sum of all probabilities below this share of one class's gradient counts as zero (rounding)."""


def are_probabilities(output: Tensor, leaf: Tensor, tolerance: float = ROUNDING_TOLERANCE) -> bool:
    """Return whether an output (b, classes, ...) computed from `leaf` contains probabilities.

    Their sum over classes may differ from 1 by `tolerance`.
    """
    values = output.detach()
    sums = bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() <= tolerance).all())
    if not sums or not _is_constant(output.sum(1), output, leaf):
        return False
    return _has_unsure_image(values) or _has_node(output, EXPONENTIALS)


def are_log_probabilities(output: Tensor, leaf: Tensor) -> bool:
    """Return whether an output (b, classes, ...) computed from `leaf` contains log-probabilities."""
    values = output.detach()
    sums = bool((values <= 0).all()) and bool((values.logsumexp(1).abs() <= ROUNDING_TOLERANCE).all())
    if not sums or not _is_constant(output.logsumexp(1), output, leaf):
        return False
    return _has_unsure_image(values.exp()) or _has_node(output, LOGARITHMS)


def check_sums(output: Tensor, leaf: Tensor) -> None:
    """Refuse positive numbers with a constant sum: percentages, or several groups of classes with a softmax each.

    Raises:
        ModelError: every row has the same sum, for every input.
    """
    sums = output.detach().sum(1)
    first = float(sums.flatten()[0])
    if first <= 0 or bool((output.detach() < 0).any()):
        return
    if bool(((sums / first - 1).abs() > ROUNDING_TOLERANCE).any()):
        return
    if _is_constant(output.sum(1), output, leaf, needs_varying_classes=True):
        raise ModelError(
            f"the model's output is positive and sums to {first:.6g} in each row, whatever the input; expected logits, "
            "or probabilities that sum to 1 (these may be percentages, or several groups of classes): choose one of "
            "them, or scale them, by output=, a function"
        )


def _is_constant(total: Tensor, output: Tensor, leaf: Tensor, *, needs_varying_classes: bool = False) -> bool:
    """Return whether a sum over classes is the same for every input, by its derivative: the model is built so.

    With `needs_varying_classes` the largest number of the output must change with the input.
    """
    if not output.requires_grad:
        return True
    finite = output.masked_fill(~torch.isfinite(output), 0)
    try:
        of_sum, of_largest = (
            torch.zeros_like(leaf) if gradient is None else gradient
            for number in (total.sum(), finite.amax(1).sum())
            for gradient in gradients(number, [leaf])
        )
    except DerivativeError:  # only the sums can be judged
        return not needs_varying_classes
    is_small = bool(of_sum.norm() <= _CONSTANT * of_largest.norm())
    return is_small and (bool(of_largest.any()) or not needs_varying_classes)


def _has_unsure_image(probabilities: Tensor) -> bool:
    """Return whether there is an image in which no class has probability 1; otherwise every gradient vanishes."""
    return bool((probabilities.amax(1) < 1 - _CONSTANT).any())


def _has_node(output: Tensor, names: frozenset[str]) -> bool:
    return any(node.name() in names for node in nodes(output))
