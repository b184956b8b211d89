"""Find the ReLUs in autograd's graph between images and output, and prove that all other nodes are linear or select."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from shapleycam.errors import OptionError
from shapleycam.tracing.batchnorm import is_eval_batch_norm
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.nested import tensors_of
from shapleycam.tracing.torch_internals import saved

_CAPPED_BELOW = {"Hardtanh": "_saved_min_val", "ClampMin": "_saved_min", "Clamp": "_saved_min"}
"""Nodes that are ReLUs, perhaps with an upper limit, if their lower limit is 0; and the attribute with this limit."""
_LINEAR = {
    *("Addmm", "Addbmm", "Mm", "Mv", "Linear", "Add", "Sub", "Rsub", "Neg", "Mean", "Sum", "ToCopy", "Copy", "Clone"),
    *("View", "UnsafeView", "ReshapeAlias", "Alias", "Expand", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute"),
    *("Select", "Slice", "Split", "SplitWithSizes", "UnsafeSplit", "Unbind", "Cat", "Stack", "Index", "IndexSelect"),
    *("Gather", "Flip", "Roll", "Repeat", "ConstantPadNd", "PixelShuffle", "PixelUnshuffle", "Im2Col", "Col2Im"),
    *("Unfold", "ChannelShuffle", "AccumulateGrad", "Movedim", "Diagonal"),
}
_BATCH_NORMS = {"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"}
"""Linear only with fixed statistics."""
_SELECTING = {"Max", "Amax"}
_LINEAR_FAMILIES = re.compile(
    r".*Convolution.*|Conv(Transpose)?\d?d|(Adaptive)?(Avg|Max)Pool\d?d.*|(Reflection|Replication)Pad\d?d|Upsample.*",
    re.IGNORECASE,
)
_OF_TWO = {"Mul", "Div", "Bmm", "Baddbmm", "Matmul"}
"""Linear if only one of the operands is computed from the images, and the other is constant."""


def relu_nodes(output: Any, images: Tensor, model: nn.Module, method: str) -> list[Any]:
    """Return the nodes of all ReLUs between images and output: of modules, of functions, and in place.

    Raises:
        OptionError: another node is not proven to be linear, or to select the largest number as max pooling does.
    """
    between = _between(output, images)
    constants = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    relus = []
    for node in between:
        if _is_relu(node):
            relus.append(node)
        elif not _is_linear(node, between, constants):
            raise OptionError(
                f"method {method!r} changes the gradient of ReLU, and the model has {_name(node)!r} between image and "
                "output, which is neither a ReLU nor proven to be linear; expected a network of ReLUs: choose a method "
                "of the model's own gradient, such as 'hirescam'"
            )
    return relus


def _between(output: Any, images: Tensor) -> set[Any]:
    """Return the nodes that compute the output from the images."""
    readers: dict[Any, list[Any]] = defaultdict(list)
    pending = []
    for tensor in tensors_of(output):
        for node in nodes(tensor):
            if getattr(node, "variable", None) is images:
                pending.append(node)
            for operand, _ in node.next_functions:
                readers[operand].append(node)
    reached = set(pending)
    while pending:
        for reader in readers[pending.pop()]:
            if reader not in reached:
                reached.add(reader)
                pending.append(reader)
    return reached


def _name(node: Any) -> str:
    """Return the name of a node's operation: "Relu" for ReluBackward0."""
    return re.sub(r"Backwards?\d*$", "", node.name().rpartition("::")[2])


def _is_of_user(node: Any) -> bool:
    """Return whether a node belongs to a user's own autograd function, whose name does not define what it computes."""
    return hasattr(type(node), "_forward_cls") and not is_eval_batch_norm(node)


def _is_relu(node: Any) -> bool:
    name = _name(node)
    if _is_of_user(node):
        return False
    if name in _CAPPED_BELOW:
        cut = getattr(node, _CAPPED_BELOW[name], None)
        return bool((cut == 0).all()) if isinstance(cut, Tensor) else cut == 0
    return name == "Relu" or (name == "Threshold" and saved(node, "threshold") == 0)


def _is_linear(node: Any, between: Iterable[Any], constants: set[int]) -> bool:
    name = _name(node)
    if _is_of_user(node):
        return False
    if is_eval_batch_norm(node) or (name in _BATCH_NORMS and not saved(node, "training")):
        return True
    if name in _LINEAR or name in _SELECTING or _LINEAR_FAMILIES.fullmatch(name):
        return True
    return name in _OF_TWO and _has_one_variable(node, set(between), constants)


def _has_one_variable(node: Any, between: set[Any], constants: set[int]) -> bool:
    """Return whether one operand of a product is computed from the images, and the other is a constant of the model."""
    operands = [operand for operand, _ in node.next_functions]
    variables = [operand for operand in operands if operand in between]
    if len(variables) != 1:
        return False
    if any(operand is not None and operand not in between for operand in operands):
        return True  # the other operand is computed only from parameters
    names = [name for name in dir(node) if name.startswith("_saved_")]
    tensors = [value for name in names if isinstance(value := getattr(node, name), Tensor)]
    return all(not value.dim() or value.untyped_storage().data_ptr() in constants for value in tensors)
