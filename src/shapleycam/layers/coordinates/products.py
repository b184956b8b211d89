"""Rules for matrix products, attention and recurrent layers."""

from __future__ import annotations

import torch

from shapleycam.layers.coordinates.operation import Operation
from shapleycam.layers.coordinates.representation import Coordinates, broadcast, combine, combine_product, reduce

_OPERANDS = {
    **dict.fromkeys(("mm", "bmm", "mkldnn_mm"), ("self", "mat2")),
    **dict.fromkeys(("addmm", "_addmm_activation"), ("mat1", "mat2")),
    "baddbmm": ("batch1", "batch2"),
    "mv": ("self", "vec"),
    "addmv": ("mat", "vec"),
    "dot": ("self", "tensor"),
    "linear": ("input", "weight"),
    "mkldnn_linear": ("self", "weight"),
    "_scaled_mm": ("self", "mat2"),
}
PRODUCTS = frozenset(_OPERANDS)
ATTENTION = {
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"),
    *("_scaled_dot_product_attention_math", "_scaled_dot_product_fused_attention_overrideable"),
    *("_scaled_dot_product_attention_math_for_mps", "_native_multi_head_attention", "scaled_dot_product_attention"),
    *("_flash_attention_forward", "_efficient_attention_forward"),
}
RECURRENT_LAYERS = {"mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn"}


def product_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of a matrix product, combined with those of the operand that is added to it, if any."""
    left_name, right_name = _OPERANDS[operation.name]
    left, right = operation.coordinates(left_name), operation.coordinates(right_name)
    shape = operation.results[0].shape
    vector = right_name in {"vec", "tensor"}
    rows = None if left is None else reduce(left, [-1], keepdim=not vector)
    columns = None if right is None else reduce(right, [-1 if vector or right_name == "weight" else -2])
    if columns is not None and right_name == "weight":
        columns = columns.transpose(-1, -2)
    if rows is None or columns is None or left is None or vector:
        only = rows if rows is not None else columns
        product = None if only is None else broadcast(only, shape)
    else:
        product = combine_product(rows, columns, left)
    added = operation.coordinates("self") if left_name != "self" else None
    if added is None:
        return product
    added = broadcast(added, shape)
    return added if product is None else combine(product, added)


def attention_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of attention: those of the query, or of all values together if the query has none."""
    query, value = operation.coordinates("query"), operation.coordinates("value")
    rows = None if query is None else reduce(query, [-1])
    everywhere = None if value is None else reduce(value, [-2])
    shape = operation.results[0].shape
    if rows is None or everywhere is None:
        only = rows if rows is not None else everywhere
        return None if only is None else broadcast(only, shape)
    return torch.where(rows[:1].isnan(), everywhere.amax(-1, keepdim=True), rows)


def recurrent_rule(operation: Operation) -> Coordinates | None:
    """Return the coordinates of the steps of a recurrent layer: those of the input at each step."""
    coordinates = operation.coordinates("input")
    return None if coordinates is None else reduce(coordinates, [-1])
