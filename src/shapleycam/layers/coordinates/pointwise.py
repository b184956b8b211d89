"""Rules for elementwise operations, for operations that keep the shape of their first operand, and for reductions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce as fold_left

from torch import Tensor

from shapleycam.layers.coordinates.operation import Operation
from shapleycam.layers.coordinates.representation import Coordinates, broadcast, combine, reduce

SHAPE_PRESERVING = {
    *("_softmax", "_log_softmax", "_safe_softmax", "_masked_softmax", "softmax", "log_softmax", "native_layer_norm"),
    *("native_group_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
    *("_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm", "_fused_rms_norm"),
    *("native_dropout", "_fused_dropout", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "renorm"),
    *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fused_moving_avg_obs_fake_quant"),
    *("fake_quantize_per_tensor_affine_cachemask", "fake_quantize_per_channel_affine_cachemask"),
    *("_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "_fused_moving_avg_obs_fq_helper", "layer_norm"),
    *("_transformer_encoder_layer_fwd", "rms_norm", "instance_norm", "batch_norm", "group_norm", "data", "_conj"),
}
"""Operations that mix along channels or positions, and keep each element's coordinates."""

ELEMENTWISE = {
    *("_prelu_kernel", "hardswish", "hardsigmoid", "rrelu_with_noise", "rrelu", "gelu", "silu", "mish", "softplus"),
    *("elu", "log_sigmoid_forward", "celu", "selu", "threshold", "relu6", "prelu", "polar", "complex", "real", "imag"),
    *("tril", "triu", "leaky_relu", "masked_fill", "_conj_physical"),
}
"""Elementwise operations that PyTorch does not mark as such in every version."""

REDUCTIONS = {
    *("mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean", "prod", "logsumexp", "norm"),
    *("linalg_vector_norm", "any", "all", "argmax", "argmin", "median", "nanmedian", "nanmean", "nansum", "aminmax"),
    *("_safe_norm", "count_nonzero", "mode", "kthvalue"),
}


def elementwise_rule(operation: Operation) -> Coordinates:
    """Return the coordinates of an elementwise function of one operand or several."""
    return combine_all(operation.operands(), operation.results[0].shape)


def combine_all(operands: Sequence[Coordinates], shape: Sequence[int]) -> Coordinates:
    """Return the coordinates of an elementwise function of operands that are broadcast to a shape."""
    return fold_left(combine, [broadcast(coordinates, shape) for coordinates in operands])


def shape_preserving_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of the first operand, which has the shape of the result."""
    return operation.coordinates(operation.first_argument)


def embedding_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of the vectors of an embedding table: the coordinates of their indices."""
    coordinates = operation.coordinates("indices")
    return None if coordinates is None else coordinates.unsqueeze(-1)


def glu_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of a gated linear unit, which is the product of the two halves of its operand."""
    coordinates = operation.coordinates("self")
    if coordinates is None:
        return None
    dim = operation["dim"] % (coordinates.dim() - 1) + 1
    first, second = coordinates.chunk(2, dim)
    return combine(first, second)


def reduction_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of a reduction (sum, mean, maximum) over dimensions; without `dim`, over all of them."""
    coordinates = operation.coordinates("self")
    if coordinates is None or isinstance(operation.arguments.get("other"), Tensor):
        return elementwise_rule(operation)
    dims = operation.arguments.get("dim")
    axes = range(coordinates.dim() - 1)
    reduced = list(axes) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    return reduce(coordinates, reduced, keepdim=bool(operation.arguments.get("keepdim", False)))


def distance_rule(operation: Operation) -> Coordinates:
    """Return the coordinates of distances (…, m, n) between the rows of two operands: those of both rows combined."""
    first, second = operation.coordinates("x1"), operation.coordinates("x2")
    rows = [] if first is None else [reduce(first, [-1])]
    columns = [] if second is None else [reduce(second, [-1]).transpose(-1, -2)]
    return combine_all([*rows, *columns], operation.results[0].shape)
