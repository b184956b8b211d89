"""Elementwise operations, those that keep the shape of their first operand, and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce as combined

from torch import Tensor

from shapleycam.layers.coordinates.arguments import Operation
from shapleycam.layers.coordinates.places import Places, expanded, merge, reduce

KEEPING = {
    *("_softmax", "_log_softmax", "_safe_softmax", "_masked_softmax", "softmax", "log_softmax", "native_layer_norm"),
    *("native_group_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"),
    *("_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm", "_fused_rms_norm"),
    *("native_dropout", "_fused_dropout", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "renorm"),
    *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine", "fused_moving_avg_obs_fake_quant"),
    *("fake_quantize_per_tensor_affine_cachemask", "fake_quantize_per_channel_affine_cachemask"),
    *("_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "_fused_moving_avg_obs_fq_helper", "layer_norm"),
    *("_transformer_encoder_layer_fwd", "rms_norm", "instance_norm", "batch_norm", "group_norm", "data", "_conj"),
}
"""Which mix along channels or positions, and keep each element's place."""

ELEMENTWISE = {
    *("_prelu_kernel", "hardswish", "hardsigmoid", "rrelu_with_noise", "rrelu", "gelu", "silu", "mish", "softplus"),
    *("elu", "log_sigmoid_forward", "celu", "selu", "threshold", "relu6", "prelu", "polar", "complex", "real", "imag"),
    *("tril", "triu"),
}
"""Elementwise operations that PyTorch does not mark as such in every version."""

REDUCTIONS = {
    *("mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean", "prod", "logsumexp", "norm"),
    *("linalg_vector_norm", "any", "all", "argmax", "argmin", "median", "nanmedian", "nanmean", "nansum", "aminmax"),
    *("_safe_norm", "count_nonzero", "mode", "kthvalue"),
}


def elementwise(operation: Operation) -> Places:
    """Return the places of an elementwise function of one operand or several."""
    return elementwise_of(operation.operands(), operation.results[0].shape)


def elementwise_of(operands: Sequence[Places], shape: Sequence[int]) -> Places:
    """Return the places of an elementwise function of operands that are broadcast to a shape."""
    return combined(merge, [expanded(places, shape) for places in operands])


def kept(operation: Operation) -> Places | None:
    """Return the places of the first operand, which has the shape of the result."""
    return operation.places(operation.first)


def looked_up(operation: Operation) -> Places | None:
    """Return the places of vectors from a table: those of the numbers by which they were looked up."""
    places = operation.places("indices")
    return None if places is None else places.unsqueeze(-1)


def gated(operation: Operation) -> Places | None:
    """Return the places of a gated linear unit: of its two halves' product."""
    places = operation.places("self")
    if places is None:
        return None
    dim = operation["dim"] % (places.dim() - 1) + 1
    first, second = places.chunk(2, dim)
    return merge(first, second)


def reduced(operation: Operation) -> Places | None:
    """Return the places of a sum, mean or extremum over dimensions; of all of them where none is named."""
    places = operation.places("self")
    if places is None or isinstance(operation.arguments.get("other"), Tensor):
        return elementwise(operation)
    dims = operation.arguments.get("dim")
    axes = range(places.dim() - 1)
    chosen = list(axes) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    return reduce(places, chosen, keepdim=bool(operation.arguments.get("keepdim", False)))


def compared(operation: Operation) -> Places:
    """Return the places of distances (…, m, n) between the rows of two operands: of the first operand's rows."""
    first, second = operation.places("x1"), operation.places("x2")
    sides = [places for places in (first, second) if places is not None]
    rows = [reduce(places, [-1]) for places in sides]
    moved = [side if place is first else side.transpose(-1, -2) for side, place in zip(rows, sides, strict=True)]
    shape = operation.results[0].shape
    return elementwise_of(moved, shape)
