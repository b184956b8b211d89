"""Reading autograd's graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam.errors import DerivativeError, ShapleyCamError
from shapleycam.tracing.nested import tensors_of
from shapleycam.tracing.nonlinearities import Nonlinearity
from shapleycam.wording import first_line

ONE_TENSORS = re.compile(
    "(View|UnsafeView|ReshapeAlias|Unsqueeze|Squeeze|Alias|Clone|ToCopy|Select|Slice|Permute|Transpose|T|AsStrided|"
    "Expand|Index|IndexSelect|Gather|Clamp|ClampMin|ClampMax|Split|Unbind)Backward[0-9]*"
)
"""Operations that return numbers of one tensor, arranged in another way or kept within bounds."""
ACTIVATIONS: dict[str, Nonlinearity] = {
    "SigmoidBackward0": "sigmoid",
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "LogSigmoidBackward0": "log_sigmoid",
    "HardsigmoidBackward0": "sigmoid",
}
"""The activations whose results are probabilities, or their logarithms."""
_SIGMOIDS_BY_HAND = (
    ("MulBackward0", "ReciprocalBackward0", "AddBackward0", "ExpBackward0"),  # 1 / x is x.reciprocal() * 1
    ("ReciprocalBackward0", "AddBackward0", "ExpBackward0"),
    ("MulBackward0", "AddBackward0", "TanhBackward0"),
    ("DivBackward0", "AddBackward0", "TanhBackward0"),
    ("AddBackward0", "MulBackward0", "TanhBackward0"),
    ("AddBackward0", "DivBackward0", "TanhBackward0"),
)
"""1 / (1 + exp(-z)) and (1 + tanh(z / 2)) / 2, from the last operation to the first."""


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


def gradients(value: Tensor, inputs: Sequence[Tensor], *, create_graph: bool = False) -> tuple[Tensor | None, ...]:
    """Return the gradient of a number by each input, None where no operation passes one on; the graph is kept.

    Raises:
        DerivativeError: an operation has none, or a user's own backward raises; the cause is in the message.
    """
    try:
        return torch.autograd.grad(value, inputs, create_graph=create_graph, retain_graph=True, allow_unused=True)
    except (torch.cuda.OutOfMemoryError, ShapleyCamError):
        raise
    except Exception as error:
        if "no autograd formula was registered" in str(error):  # of a custom operator of torch.library
            raise no_gradient_error() from error
        reason = first_line(error).partition(" Hint:")[0]
        raise no_derivative_error(reason) from error


def no_gradient_error() -> DerivativeError:
    """Return the error of a head that has no derivative at all."""
    return DerivativeError(
        "what comes after the layer has no derivative: an operation there (quantised, of a foreign kernel, detached "
        "or under no_grad) passes none on; use sampledshapley, which needs none, a layer behind that, or the model "
        "before it was quantised"
    )


def no_derivative_error(reason: str) -> DerivativeError:
    """Return the error of a head that cannot be differentiated as often as a method needs."""
    return DerivativeError(
        f"what comes after the layer has no derivative of the order that is needed ({reason}); use a first-order "
        "method (gradcam, hirescam), a path method or sampledshapley, which needs none, or a later layer"
    )


def depends_on(value: Any, leaf: Tensor) -> bool:
    """Whether a tensor, or one of several in a nested value, was computed from a leaf."""
    return any(getattr(node, "variable", None) is leaf for tensor in tensors_of(value) for node in nodes(tensor))


def may_depend_on_activation(tensor: Tensor) -> bool:
    """Whether a tensor was computed in the graph from anything but parameters.

    Kernels that are standardised or parametrised are computed from parameters alone, and constants to an explanation.
    """
    leaves = (getattr(node, "variable", None) for node in nodes(tensor))
    return any(leaf is not None and not isinstance(leaf, nn.Parameter) for leaf in leaves)


def has_once_differentiable(tensor: Tensor) -> bool:
    """Whether an operation on the way forbids further derivatives; autograd would pass it over in silence.

    In the graph of a gradient such an operation has left an error; in the graph of a value it is a function whose
    backward was wrapped by PyTorch's `once_differentiable`.
    """
    return any("Error" in node.name() or _is_wrapped(node) for node in nodes(tensor))


def last_activation(output: Tensor) -> Nonlinearity | None:
    """The softmax or sigmoid whose result a tensor shows, by views, copies and bounds; None if there is no such one.

    A sigmoid written by hand is one too.
    """
    node: Any = output.grad_fn
    while node is not None and ONE_TENSORS.fullmatch(node.name()):
        node = only_operand(node)
    if node is None:
        return None
    return "sigmoid" if _is_by_hand(node, output) else ACTIVATIONS.get(node.name())


def _is_by_hand(node: Any, output: Tensor) -> bool:
    between = bool(((output.detach() >= 0) & (output.detach() <= 1)).all())
    return between and any(_are_last(node, names) for names in _SIGMOIDS_BY_HAND)


def _are_last(node: Any, names: tuple[str, ...]) -> bool:
    """Whether the last operations are these, each of one operand."""
    for name in names:
        if node is None or node.name() != name:
            return False
        node = only_operand(node)
    return True


def only_operand(node: Any) -> Any:
    """Return the operation that made the only differentiable operand; None where there are several."""
    before = [operand for operand, _ in node.next_functions if operand is not None]
    return before[0] if len(before) == 1 else None


def operation_without_derivative(tensor: Tensor) -> str | None:
    """The name of an operation on the way for which nobody has written a derivative; None without any.

    PyTorch leaves out the part of the gradient that goes through a quantised or custom operator without one.
    """
    return next((node.name() for node in nodes(tensor) if "NotImplemented" in node.name()), None)


def has_foreign_functions(tensor: Tensor) -> bool:
    """Whether a tensor was computed by functions whose derivatives are neither PyTorch's own nor ours.

    Their second derivatives may be missing without an error: a backward under no_grad, in numpy, or in a foreign kernel
    looks like that of a linear function.
    """
    return any(not _is_native(node) for node in nodes(tensor))


def _is_native(node: Any) -> bool:
    written = getattr(node, "_forward_cls", None)
    if written is not None:
        return str(written.__module__).startswith("shapleycam.")
    name = node.name()
    is_own = name.startswith("torch::autograd::") and "CppNode" not in name
    return is_own or hasattr(torch._C._functions, type(node).__name__)  # noqa: SLF001  # the list of PyTorch's own


def _is_wrapped(node: Any) -> bool:
    code = getattr(getattr(getattr(node, "_forward_cls", None), "backward", None), "__code__", None)
    return code is not None and code.co_filename == torch.autograd.function.__file__
