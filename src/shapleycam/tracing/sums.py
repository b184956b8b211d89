"""Whether numbers are probabilities: by their sum over classes, and by its derivative.

Logits may happen to be positive and to sum to 1. The sum of probabilities also stays the same whatever the input is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shapleycam.errors import DerivativeError, ModelError
from shapleycam.tracing.graph import gradients, nodes

ROUNDED = 1e-4
"""How far from 1 the sum of probabilities may be by rounding."""
BOUNDED = 1e-2
"""... or of a softmax's whose results are kept from 0 and 1."""
_STILL = 1e-3
"""Below this share of one class's gradient the gradient of all probabilities' sum is rounding."""
_EXPONENTIALS = frozenset({"ExpBackward0", "SoftmaxBackward0", "SigmoidBackward0", "TanhBackward0"})
_LOGARITHMS = frozenset({"LogBackward0", "LogsumexpBackward0", "LogSoftmaxBackward0", "LogSigmoidBackward0"})


def are_probabilities(output: Tensor, leaf: Tensor, room: float = ROUNDED) -> bool:
    """Return whether an output (b, classes, ...) of `leaf` holds probabilities, whose sum may miss 1 by `room`."""
    values = output.detach()
    sums = bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() <= room).all())
    return sums and _is_constant(output.sum(1), output, leaf) and (_unsure(values) or _made_by(output, _EXPONENTIALS))


def are_log_probabilities(output: Tensor, leaf: Tensor) -> bool:
    """Return whether an output (b, classes, ...) of `leaf` holds logarithms of probabilities."""
    values = output.detach()
    sums = bool((values <= 0).all()) and bool((values.logsumexp(1).abs() <= ROUNDED).all())
    constant = sums and _is_constant(output.logsumexp(1), output, leaf)
    return constant and (_unsure(values.exp()) or _made_by(output, _LOGARITHMS))


def check_sums(output: Tensor, leaf: Tensor) -> None:
    """Refuse percentages, and several groups of classes with a softmax each.

    Raises:
        ModelError: the rows sum to the same number, whatever the input.
    """
    sums = output.detach().sum(1)
    first = float(sums.flatten()[0])
    if first <= 0 or bool((output.detach() < 0).any()) or bool(((sums / first - 1).abs() > ROUNDED).any()):
        return
    if _is_constant(output.sum(1), output, leaf, changes=True):
        raise ModelError(
            f"the model's output is positive and sums to {first:.6g} in each row, whatever the input; expected logits, "
            "or probabilities that sum to 1 (these may be percentages, or several groups of classes): choose one of "
            "them, or scale them, by output=, a function"
        )


def _is_constant(total: Tensor, output: Tensor, leaf: Tensor, *, changes: bool = False) -> bool:
    """Whether a sum over classes stays the same whatever the input: then it is so by how the model makes it.

    With `changes` the classes themselves must change with the input.
    """
    if not output.requires_grad:
        return True
    finite = output.masked_fill(~torch.isfinite(output), 0)
    try:
        of_sum, of_best = (
            torch.zeros_like(leaf) if gradient is None else gradient
            for number in (total.sum(), finite.amax(1).sum())
            for gradient in gradients(number, [leaf])
        )
    except DerivativeError:  # the sums themselves have to do
        return not changes
    return bool(of_sum.norm() <= _STILL * of_best.norm()) and (bool(of_best.any()) or not changes)


def _unsure(probabilities: Tensor) -> bool:
    """Whether in some image no class has all: where one has, a sum's gradient vanishes whatever made it."""
    return bool((probabilities.amax(1) < 1 - _STILL).any())


def _made_by(output: Tensor, names: frozenset[str]) -> bool:
    return any(node.name() in names for node in nodes(output))
