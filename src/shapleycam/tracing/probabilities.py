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
_LARGEST_FACTOR = 2.0**40
"""Log-probabilities that must be multiplied by more than this are rounding."""
_HALVINGS = 60
"""After how many halvings of an interval its middle is exact in float64."""


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
    """Refuse numbers of one sign with a constant sum: no logits are built so.

    They are percentages, probabilities with the sign changed, or several groups of classes with a softmax each.

    Raises:
        ModelError: every row has the same sum, for every input.
    """
    values = output.detach()
    is_positive = bool((values >= 0).all())
    if (is_positive or bool((values <= 0).all())) and _is_constant_sum(output.sum(1), output, leaf):
        total, sign = float(values.sum(1).flatten()[0]), "positive" if is_positive else "negative"
        raise ModelError(
            f"the model's output is {sign} and sums to {total:.6g} in each row, whatever the input; expected logits, "
            "or probabilities that sum to 1 (these may be percentages, or several groups of classes): choose one of "
            "them, or scale them, by output=, a function"
        )


def check_scale_of_logarithms(output: Tensor, leaf: Tensor) -> None:
    """Refuse log-probabilities that are multiplied by a constant: in bits, with a temperature, or another sign.

    Raises:
        ModelError: divided by one number, the output contains log-probabilities, for every input.
    """
    values = output.detach().double()
    sign = 1.0 if bool((values < 0).all()) else -1.0
    if output.shape[1] < 2 or not bool((values * sign < 0).all()):
        return
    scale = sign * _scale_of_logarithms(sign * values[0].reshape(output.shape[1], -1)[:, 0])
    logarithms = output / scale
    sums = logarithms.detach().logsumexp(1)
    is_exact = bool((sums.abs() <= ROUNDING_TOLERANCE).all()) and _has_unsure_image(logarithms.detach().exp())
    if is_exact and _is_built_constant(logarithms.logsumexp(1), output, leaf):
        raise ModelError(
            f"the model's output contains log-probabilities times {scale:.6g}, as in bits, with a temperature or with "
            "another sign; expected logits or log-probabilities: divide them by it, output=lambda o: o / "
            f"({scale:.6g}), or take them for logits, output=lambda o: o.log_softmax(1)"
        )


def _scale_of_logarithms(row: Tensor) -> float:
    """Return the positive number by which negative numbers (classes,) must be divided to be log-probabilities."""
    low, high = 0.0, 1.0  # of its reciprocal t; the log of the sum of exp(t row) falls with t, from log(classes)
    while float((high * row).logsumexp(0)) > 0 and high < _LARGEST_FACTOR:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if float((middle * row).logsumexp(0)) > 0 else (low, middle)
    return 2 / (low + high)


def _is_constant_sum(total: Tensor, output: Tensor, leaf: Tensor) -> bool:
    """Return whether a sum over classes is not 0, and the same in every row and for every input."""
    sums = total.detach()
    first = float(sums.flatten()[0])
    if first == 0 or bool(((sums / first - 1).abs() > ROUNDING_TOLERANCE).any()):
        return False
    return _is_built_constant(total, output, leaf)


def _is_built_constant(total: Tensor, output: Tensor, leaf: Tensor) -> bool:
    """Return whether a number of each row is the same for every input, although the classes change with the input."""
    return _is_constant(total, output, leaf, needs_varying_classes=True)


def _is_constant(total: Tensor, output: Tensor, leaf: Tensor, *, needs_varying_classes: bool = False) -> bool:
    """Return whether a sum over classes is the same for every input, by its derivative: the model is built so.

    With `needs_varying_classes` the largest number of the output must change with the input.
    """
    if not output.requires_grad:  # only the sums can be judged
        return not needs_varying_classes
    finite = output.masked_fill(~torch.isfinite(output), 0)
    try:
        of_sum, of_largest = (
            torch.zeros_like(leaf) if gradient is None else gradient
            for number in (total.sum(), finite.amax(1).sum())
            for gradient in gradients(number, [leaf])
        )
    except DerivativeError:
        return not needs_varying_classes
    is_small = bool(of_sum.norm() <= _CONSTANT * of_largest.norm())
    return is_small and (bool(of_largest.any()) or not needs_varying_classes)


def _has_unsure_image(probabilities: Tensor) -> bool:
    """Return whether there is an image in which no class has probability 1; otherwise every gradient vanishes."""
    return bool((probabilities.amax(1) < 1 - _CONSTANT).any())


def _has_node(output: Tensor, names: frozenset[str]) -> bool:
    return any(node.name() in names for node in nodes(output))
