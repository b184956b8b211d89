"""Which of PyTorch's operations compute each number from those at its place."""

from __future__ import annotations

from typing import Any

import torch


def is_marked_elementwise(function: Any) -> bool:
    """Return whether PyTorch marks an operation as elementwise, or an in-place one's form that returns a new tensor.

    In-place forms are not all marked: `gelu_` in no version of PyTorch so far, `hardtanh_` of ReLU6 in 2.11 neither.

    Args:
        function: an overload of an operation, as `TorchDispatchMode` hands it over.

    Examples:
        >>> import torch
        >>> from shapleycam.tracing.elementwise import is_marked_elementwise
        >>> [is_marked_elementwise(function.default) for function in (torch.ops.aten.gelu_, torch.ops.aten.cumsum)]
        [True, False]
    """
    schema = getattr(function, "_schema", None)
    if schema is None:
        return False
    namespace, name = schema.name.split("::")
    functional = getattr(getattr(torch.ops, namespace), name.removesuffix("_"), None)
    forms = (function, getattr(functional, function._overloadname, function))  # noqa: SLF001
    return any(torch.Tag.pointwise in form.tags for form in forms)
