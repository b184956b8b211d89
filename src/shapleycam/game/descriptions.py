"""Comparable descriptions of a pass, of a recording and of a model's weights; equal objects have equal descriptions.

They describe operations, and not the numbers in the operations' tensors.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from hashlib import sha256
from types import BuiltinFunctionType
from typing import Any

from torch import Tensor, nn

from shapleycam.game.dataflow import Call, Value
from shapleycam.game.head_recording import HeadRecording
from shapleycam.tracing.copying.state import IMMUTABLE
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.torch_internals import results_of, version_of, weights_of

_PREFIX = "_saved_"
"""Prefix of the attributes of autograd's nodes that hold what an operation saved for its backward pass."""
_saved_names: dict[type, tuple[str, ...]] = {}
"""A cache of the names of these attributes, by the class of a node."""


def describe_graph(output: Tensor) -> Hashable | None:
    """Return a description of a graph: each operation with its operands, result and saved values; None if unknown."""
    numbers = {node: number for number, node in enumerate(nodes(output))}
    try:
        return tuple(
            (
                type(node),
                node.name(),
                tuple((numbers.get(operand), index) for operand, index in node.next_functions),
                tuple((tuple(result.shape), result.dtype) for result in results_of(node)),
                *map(_describe, _saved(node)),
            )
            for node in numbers
        )
    except (TypeError, AttributeError, RuntimeError):  # another version of PyTorch frees or names these in another way
        return None


def describe_recording(recording: HeadRecording) -> str | None:
    """Return a digest of the operations of a recorded head with all their operands; None if these are unknown.

    A tensor is described by its shape and type.
    """
    dataflow = recording.dataflow
    forms = [(tuple(tensor.shape), tensor.dtype) for tensor in dataflow.tensors]
    try:
        calls = [_describe_call(call) for call in dataflow.calls]
    except TypeError:
        return None
    return _digest([calls, forms, dataflow.number_of(recording.output), sorted(dataflow.counts.items())])


def describe_weights(modules: Sequence[nn.Module]) -> str | None:
    """Return a digest of the addresses and version counters of the modules' weights and buffers.

    PyTorch does not count writes through `.data`. The digest is None if a tensor has no memory of its own.
    """
    try:
        return _digest(
            [
                (tensor.data_ptr(), -1 if tensor.is_inference() else version_of(tensor))
                for module in modules
                for tensor in weights_of(module)
                if tensor is not None
            ]
        )
    except RuntimeError:
        return None


def _digest(description: Any) -> str:
    return sha256(repr(description).encode()).hexdigest()


def _describe_call(call: Call) -> Hashable:
    operands = tuple(operand if isinstance(operand, Value) else _describe(operand) for operand in call.operands)
    return call.function, call.structure, operands, call.results, call.occurrence


def _saved(node: Any) -> Iterator[Any]:
    """Yield what a node saved for its backward pass, and what the forward pass of a Python function set on it."""
    kind = type(node)
    if kind not in _saved_names:
        _saved_names[kind] = tuple(name for name in dir(kind) if name.startswith(_PREFIX))
    for name in _saved_names[kind]:
        yield getattr(node, name)
    for name, value in getattr(node, "__dict__", {}).items():
        yield name
        yield value
    yield from getattr(node, "saved_tensors", ())


def _describe(value: Any) -> Hashable:
    """Return a description of a value: of a tensor its shape and type, of other values the type and the value itself.

    Raises:
        TypeError: a value of a type that cannot be described.
    """
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, (tuple, list)):
        return tuple(map(_describe, value))
    if isinstance(value, BuiltinFunctionType):
        return value.__qualname__
    if type(value) not in IMMUTABLE:
        raise TypeError(f"an operation saved a {type(value).__name__}")
    return type(value), value
