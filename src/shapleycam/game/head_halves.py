"""The two halves of a head that takes one mean over positions: what the mean is of, and what is made of it.

Both run the whole head. The first keeps the result of the mean, the second puts another in its place: so nothing has
to be known of how the head's code gets from one operation to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from shapleycam.errors import ReplayError


def run_to_mean(head: Callable[[], Any]) -> Float[Tensor, "rows *features"]:
    """Run a head, and return the result of the one mean that it takes.

    Raises:
        ReplayError: it takes none, or several.
    """
    with _Means(None) as means:
        head()
    return means.only()


def run_from_mean(head: Callable[[], Any], mean: Float[Tensor, "rows *features"]) -> Any:
    """Run a head with `mean` in place of the one mean that it takes, and return its output.

    Raises:
        ReplayError: it takes none, several, or one of another shape.
    """
    with _Means(mean) as means:
        output = head()
    means.only()
    return output


class _Means(TorchDispatchMode):
    """Keeps the result of each mean, and gives `replacement` for it where there is one."""

    def __init__(self, replacement: Tensor | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._replacement = replacement
        self._results: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "overloadpacket", None) is not torch.ops.aten.mean:
            return result
        self._results.append(result)
        if self._replacement is None:
            return result
        if result.shape != self._replacement.shape:
            shapes = f"{tuple(result.shape)} where {tuple(self._replacement.shape)} was recorded"
            raise ReplayError(f"the head takes a mean of shape {shapes}; expected the same in each run")
        return self._replacement.to(result.dtype)

    def only(self) -> Tensor:
        """Return the result of the only mean.

        Raises:
            ReplayError: there is none, or there are several.
        """
        if len(self._results) != 1:
            raise ReplayError(f"the head takes {len(self._results)} means; expected one, as when it was recorded")
        return self._results[0]
