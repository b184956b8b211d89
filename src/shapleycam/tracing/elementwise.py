"""Tell which of PyTorch's operations are elementwise: each number is computed from the numbers at the same place."""

from __future__ import annotations

from typing import Any

import torch


def is_marked_elementwise(function: Any) -> bool:
    """Return whether PyTorch marks an operation, or the out-of-place form of an in-place operation, as elementwise.

    PyTorch does not mark all in-place forms: `gelu_` in no version so far, and `hardtanh_` (ReLU6) not in 2.11.

    Args:
        function: an overload of an operation, as `TorchDispatchMode` receives it.

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
    forms = (function, getattr(functional, function._overloadname, function))  # noqa: SLF001  # no public name
    return any(torch.Tag.pointwise in form.tags for form in forms)
