"""Rules for the operations of a head: those that process all positions separately and alike, and those that average.

The names are those of PyTorch's backward nodes. An operation without a rule here ends the proof of `structure`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from shapleycam.game.axes import (
    Axis,
    have_positions_or_images,
    is_same_at_all_positions,
    make_axis,
    reshape_axes,
    shape_of_axes,
)
from shapleycam.game.dependence import CONSTANT, UNKNOWN, AfterMean, BeforeMean, Form
from shapleycam.tracing.batchnorm import is_eval_batch_norm
from shapleycam.tracing.torch_internals import results_of, saved, signed_dim

_ELEMENTWISE = {
    *("ReluBackward0", "HardtanhBackward0", "GeluBackward0", "SiluBackward0", "MishBackward0", "EluBackward0"),
    *("LeakyReluBackward0", "HardswishBackward0", "HardsigmoidBackward0", "SigmoidBackward0", "TanhBackward0"),
    "SoftplusBackward0",
}
_LINEAR_ELEMENTWISE = {"CloneBackward0", "AliasBackward0", "ToCopyBackward0", "NegBackward0"}
RESHAPES = {
    *("ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0", "UnsqueezeBackward0"),
    *("SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2"),
}
_SUMS = {"AddBackward0", "SubBackward0"}
_PRODUCTS = {"MulBackward0", "DivBackward0"}
_LINEAR = {"AddmmBackward0": 1, "MmBackward0": 0, "LinearBackward0": 0, "ConvolutionBackward0": 0}
"""Operations that are affine in the operand with this index, if the others are constants."""
_AFFINE_IN_ALL_OPERANDS = {
    *(*_LINEAR_ELEMENTWISE, *RESHAPES, *_SUMS, "PermuteBackward0", "TransposeBackward0", "TBackward0"),
    *("CatBackward0", "AsStridedBackward0", "AsStridedBackward1"),
}
_BATCH_NORMS = {"NativeBatchNormBackward0", "CudnnBatchNormBackward0"}


class UnreadableNodeError(Exception):
    """A node of autograd's graph does not have an attribute that a rule reads; the message says which."""


@dataclass(frozen=True)
class _Operation:
    """An operation with one operand that depends on the activation; `form` is the form of this operand."""

    node: Any
    name: str
    operands: list[Form]
    form: BeforeMean
    shape: tuple[int, ...]
    """The shape of the operation's result."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.form.axes


def after_mean(node: Any, operands: list[Form]) -> AfterMean:
    """Return the form of a result after the mean: every operation is allowed, and some keep the tensor affine."""
    name = node.name()
    forms = [form for form in operands if isinstance(form, AfterMean)]
    affine = name in _AFFINE_IN_ALL_OPERANDS
    if len(forms) == 1:
        affine |= name == "MulBackward0" or _is_fixed_batch_norm(node, name)
        linear_operand = 0 if name == "DivBackward0" else _LINEAR.get(name)
        affine |= linear_operand is not None and operands[linear_operand] is not CONSTANT
    return AfterMean(
        linear_before=all(form.linear_before for form in forms),
        affine=affine and all(form.affine for form in forms),
    )


def before_mean(node: Any, operands: list[Form]) -> Form:
    """Return the form of a result before the mean: the rules cover operations on single positions, and their mean.

    Raises:
        UnreadableNodeError: PyTorch does not store an attribute that a rule reads.
    """
    forms = [form for form in operands if isinstance(form, BeforeMean)]
    axes = forms[0].axes
    if any(form.axes != axes for form in forms):
        return UNKNOWN
    shape = _shape_of_result(node)
    if len(forms) > 1:
        return _combine(node.name(), forms, shape)
    operation = _Operation(node, node.name(), operands, forms[0], shape)
    results = (rule(operation) for rule in _RULES)
    return next((form for form in results if form is not None), UNKNOWN)


def _combine(name: str, forms: list[BeforeMean], shape: tuple[int, ...]) -> Form:
    """Apply the rule for a sum or product of two tensors, position by position."""
    if name not in _SUMS | _PRODUCTS or len(forms) != 2 or shape != shape_of_axes(forms[0].axes):
        return UNKNOWN
    return replace(forms[0], linear=name in _SUMS and all(form.linear for form in forms))


def _elementwise(operation: _Operation) -> BeforeMean | None:
    if operation.name in _LINEAR_ELEMENTWISE:
        return operation.form
    return replace(operation.form, linear=False) if operation.name in _ELEMENTWISE else None


def _scale(operation: _Operation) -> BeforeMean | None:
    """Apply the rule for a product with, or division by, a constant that is the same at all positions."""
    name, axes = operation.name, operation.axes
    if name not in _PRODUCTS or operation.shape != shape_of_axes(axes) or operation.operands[0] is CONSTANT:
        return None
    return operation.form if is_same_at_all_positions(_saved(operation.node, "other"), axes) else None


def _rearrange(operation: _Operation) -> BeforeMean | None:
    """Apply the rule for operations that only move numbers: permutations, transpositions and reshapes."""
    name, node, axes = operation.name, operation.node, operation.axes
    moved: tuple[Axis, ...] | None = None
    if name == "PermuteBackward0":
        moved = tuple(axes[signed_dim(dim)] for dim in _saved(node, "dims"))
    elif name == "TransposeBackward0":
        swapped = list(axes)
        first, second = signed_dim(_saved(node, "dim0")), signed_dim(_saved(node, "dim1"))
        swapped[first], swapped[second] = swapped[second], swapped[first]
        moved = tuple(swapped)
    elif name in RESHAPES:
        moved = reshape_axes(axes, operation.shape)
    return None if moved is None else replace(operation.form, axes=moved)


def _normalize(operation: _Operation) -> BeforeMean | None:
    """Apply the rule for a batch norm with fixed statistics, and for a layer norm of each position's channels."""
    if _is_fixed_batch_norm(operation.node, operation.name) and not have_positions_or_images(operation.axes[1:2]):
        return operation.form
    if operation.name != "NativeLayerNormBackward0":
        return None
    normalized = operation.axes[-len(_saved(operation.node, "normalized_shape")) :]
    return None if have_positions_or_images(normalized) else replace(operation.form, linear=False)


def _mix_channels(operation: _Operation) -> BeforeMean | None:
    """Apply the rule for a matrix product along the last axis, and for a convolution of size 1 along axis 1."""
    name, axes = operation.name, operation.axes
    if name not in _LINEAR or operation.operands[_LINEAR[name]] is CONSTANT:
        return None
    channel_axis = len(axes) - 1
    if name == "ConvolutionBackward0":
        channel_axis = 1
        if not _is_pointwise(operation.node):
            return None
    if have_positions_or_images(axes[channel_axis : channel_axis + 1]):
        return None
    channels = make_axis("channel", operation.shape[channel_axis])
    return replace(operation.form, axes=(*axes[:channel_axis], channels, *axes[channel_axis + 1 :]))


def _average(operation: _Operation) -> AfterMean | None:
    """Apply the rule for the mean over all positions and over nothing else."""
    if operation.name != "MeanBackward1":
        return None
    dims = {signed_dim(dim) % len(operation.axes) for dim in _saved(operation.node, "dim")}
    averaged = {factor.content for index in dims for factor in operation.axes[index]}
    remaining = {factor.content for index, axis in enumerate(operation.axes) if index not in dims for factor in axis}
    only_positions = averaged <= {"position"} and "position" not in remaining
    if not only_positions:
        return None
    return AfterMean(linear_before=operation.form.linear)


_RULES = (_elementwise, _scale, _rearrange, _normalize, _mix_channels, _average)


def _is_pointwise(convolution: Any) -> bool:
    """Return whether a convolution has size 1, stride 1 and no padding."""
    kernel = _saved(convolution, "weight").shape[2:]
    strides, paddings = _saved(convolution, "stride"), _saved(convolution, "padding")
    return prod(kernel) == 1 and set(strides) == {1} and not any(paddings) and not _saved(convolution, "transposed")


def _is_fixed_batch_norm(node: Any, name: str) -> bool:
    """Return whether an operation is a batch norm with fixed statistics, and not those of the batch."""
    return is_eval_batch_norm(node) or (name in _BATCH_NORMS and not _saved(node, "training"))


def _saved(node: Any, name: str) -> Any:
    """Return an attribute that autograd saved for the backward of an operation.

    Raises:
        UnreadableNodeError: this version of PyTorch has another name for it, or it was freed.
    """
    try:
        return saved(node, name)
    except (AttributeError, RuntimeError) as error:
        raise UnreadableNodeError(f"{node.name()} has no {name}") from error


def _shape_of_result(node: Any) -> tuple[int, ...]:
    """Return the shape of an operation's result.

    Raises:
        UnreadableNodeError: this version of PyTorch does not store it.
    """
    try:
        return tuple(results_of(node)[0].shape)
    except (AttributeError, IndexError) as error:
        raise UnreadableNodeError(f"{node.name()} has no shape of its result") from error
