"""Read autograd's graph: the nodes that computed a tensor, gradients, and missing derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import DerivativeError
from shapleycam.foreign_errors import convert_errors
from shapleycam.gpu_failures import describe_device_failure
from shapleycam.tracing.nested import tensors_of
from shapleycam.wording import first_line


def nodes(tensor: Tensor, is_followed: Callable[[Any], bool] = lambda _: True) -> Iterator[Any]:
    """Yield each node of a tensor's graph once; the operands of a node only if `is_followed(node)`."""
    seen: set[Any] = set()
    pending = [tensor.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        if is_followed(node):
            pending.extend(operand for operand, _ in node.next_functions)


def gradients(value: Tensor, inputs: Sequence[Tensor], *, create_graph: bool = False) -> tuple[Tensor | None, ...]:
    """Return the gradient of a scalar with respect to each input; None if no operation passes a gradient to it.

    The graph is retained.

    Raises:
        DerivativeError: an operation has no derivative, or a user's own backward raises; the message names the cause.
    """
    with convert_errors(_gradient_error):
        return torch.autograd.grad(value, inputs, create_graph=create_graph, retain_graph=True, allow_unused=True)


def _gradient_error(error: Exception) -> DerivativeError | None:
    """Return the error for an error of autograd or of a user's own backward; None for a failure of the device."""
    if describe_device_failure(error):
        return None
    if "no autograd formula was registered" in str(error):  # a custom operator of torch.library
        return no_gradient_error()
    return no_derivative_error(first_line(error).partition(" Hint:")[0])


def no_gradient_error() -> DerivativeError:
    """Return the error for a head without any derivative."""
    return DerivativeError(
        "what comes after the layer has no derivative: an operation there (quantised, of a foreign kernel, detached "
        "or under no_grad) passes none on; use sampledshapley, which needs none, a layer behind that, or the model "
        "before it was quantised"
    )


def no_derivative_error(reason: str) -> DerivativeError:
    """Return the error for a head without a derivative of the order that a method needs."""
    return DerivativeError(
        f"what comes after the layer has no derivative of the order that is needed ({reason}); use a first-order "
        "method (gradcam, hirescam), a path method or sampledshapley, which needs none, or a later layer"
    )


def depends_on(value: Any, leaf: Tensor) -> bool:
    """Return whether a tensor in a nested value was computed from a leaf of the graph."""
    return any(getattr(node, "variable", None) is leaf for tensor in tensors_of(value) for node in nodes(tensor))


def may_depend_on_activation(tensor: Tensor) -> bool:
    """Return whether a tensor was computed in the graph from a leaf that is not a parameter.

    A standardised or parametrised convolution kernel is computed from parameters alone, and is a constant for an
    explanation.
    """
    leaves = (getattr(node, "variable", None) for node in nodes(tensor))
    return any(leaf is not None and not isinstance(leaf, nn.Parameter) for leaf in leaves)


def has_once_differentiable(tensor: Tensor) -> bool:
    """Return whether an operation in the graph forbids further derivatives.

    Autograd would silently leave out its part of the derivative. In the graph of a gradient such an operation is an
    error node; in the graph of a value it is a function whose backward is wrapped by PyTorch's `once_differentiable`.
    """
    return any("Error" in node.name() or _is_once_differentiable(node) for node in nodes(tensor))


def operation_without_derivative(tensor: Tensor) -> str | None:
    """Return the name of an operation in the graph that has no derivative; None if all operations have one.

    Such an operation is quantised or custom. Autograd would leave out the part of the gradient that goes through it.
    """
    return next((node.name() for node in nodes(tensor) if "NotImplemented" in node.name()), None)


def has_foreign_functions(tensor: Tensor) -> bool:
    """Return whether the graph contains functions with derivatives that are not PyTorch's or this library's.

    Their second derivatives may be missing without an error: a backward that is computed under no_grad, in numpy or in
    a foreign kernel looks like the backward of a linear function.
    """
    return any(not _is_native(node) for node in nodes(tensor))


def _is_native(node: Any) -> bool:
    function = getattr(node, "_forward_cls", None)
    if function is not None:
        return str(function.__module__).startswith("shapleycam.")
    name = node.name()
    is_torch_function = name.startswith("torch::autograd::") and "CppNode" not in name
    return is_torch_function or hasattr(torch._C._functions, type(node).__name__)  # noqa: SLF001  # PyTorch's own list


def _is_once_differentiable(node: Any) -> bool:
    code = getattr(getattr(getattr(node, "_forward_cls", None), "backward", None), "__code__", None)
    return code is not None and code.co_filename == torch.autograd.function.__file__
