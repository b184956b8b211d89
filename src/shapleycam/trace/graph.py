"""Reading autograd's graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from shapleycam.trace.nested import tensors_of


def nodes(tensor: Tensor) -> Iterator[Any]:
    """Every node that a tensor was computed by, each once."""
    seen: set[Any] = set()
    ahead = [tensor.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        ahead.extend(following for following, _ in node.next_functions)


def depends_on(value: Any, leaf: Tensor) -> bool:
    """Whether a tensor, or one of several in a nested value, was computed from a leaf."""
    return any(getattr(node, "variable", None) is leaf for tensor in tensors_of(value) for node in nodes(tensor))


def not_differentiable(tensor: Tensor) -> bool:
    """Whether an operation on the way forbids further derivatives; autograd would pass it over in silence.

    In the graph of a gradient such an operation has left an error; in the graph of a value it is a function whose
    backward was wrapped by PyTorch's `once_differentiable`.
    """
    return any("Error" in node.name() or _is_wrapped(node) for node in nodes(tensor))


def _is_wrapped(node: Any) -> bool:
    code = getattr(getattr(getattr(node, "_forward_cls", None), "backward", None), "__code__", None)
    return code is not None and code.co_filename == torch.autograd.function.__file__
