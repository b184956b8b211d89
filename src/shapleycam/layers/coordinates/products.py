"""Matrix products and attention: rows of the left operand decide, or what is more local."""

from __future__ import annotations

import torch

from shapleycam.layers.coordinates.arguments import Operation
from shapleycam.layers.coordinates.places import Places, expanded, merge, query_first, reduce

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
RECURRENT = {"mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn"}


def multiplied(operation: Operation) -> Places | None:
    """Return the places of a matrix product, with what is added to it."""
    left_name, right_name = _OPERANDS[operation.name]
    left, right = operation.places(left_name), operation.places(right_name)
    shape = operation.results[0].shape
    vector = right_name in {"vec", "tensor"}
    rows = None if left is None else reduce(left, [-1], keepdim=not vector)
    columns = None if right is None else reduce(right, [-1 if vector or right_name == "weight" else -2])
    if columns is not None and right_name == "weight":
        columns = columns.transpose(-1, -2)
    if rows is None or columns is None or left is None or vector:
        only = rows if rows is not None else columns
        product = None if only is None else expanded(only, shape)
    else:
        product = query_first(rows, columns, left)
    added = operation.places("self") if left_name != "self" else None
    if added is None:
        return product
    added = expanded(added, shape)
    return added if product is None else merge(product, added)


def attended(operation: Operation) -> Places | None:
    """Return the places of attention's result: of its queries; where they have none, of all values together."""
    query, value = operation.places("query"), operation.places("value")
    rows = None if query is None else reduce(query, [-1])
    everywhere = None if value is None else reduce(value, [-2])
    shape = operation.results[0].shape
    if rows is None or everywhere is None:
        only = rows if rows is not None else everywhere
        return None if only is None else expanded(only, shape)
    return torch.where(rows[:1].isnan(), everywhere.amax(-1, keepdim=True), rows)


def recurrent(operation: Operation) -> Places | None:
    """Return the places of a recurrent layer's steps: of what enters at each."""
    places = operation.places("input")
    return None if places is None else reduce(places, [-1])
