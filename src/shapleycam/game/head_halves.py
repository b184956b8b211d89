"""The two halves of a head that takes one mean over positions: what the mean is of, and what is made of it.

Both run the whole head. The first keeps the result of the mean, the second puts another in its place: so nothing has
to be known of how the head's code gets from one operation to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from shapleycam.errors import ReplayError


class TakenMean(NamedTuple):
    """The one mean that a head takes: of a tensor (rows, ...) over some of its dimensions, ascending."""

    operand: Tensor
    dims: tuple[int, ...]
    result: Float[Tensor, "rows *features"]

    @property
    def summands(self) -> Float[Tensor, "rows n features"]:
        """Return what the mean is of: the n positions in their order, and all else as one dimension."""
        last = self.operand.movedim(self.dims, tuple(range(1, 1 + len(self.dims))))
        return (
            last.flatten(1, len(self.dims)).flatten(2)
            if last.dim() > 1 + len(self.dims)
            else last.flatten(1)[..., None]
        )


def run_to_mean(head: Callable[[], Any]) -> TakenMean:
    """Run a head, and return the one mean that it takes.

    Raises:
        ReplayError: it takes none, or several.
    """
    means = _Means(None)
    with means:
        head()
    return means.only()


def run_from_mean(head: Callable[[], Any], mean: Float[Tensor, "rows *features"]) -> Any:
    """Run a head with `mean` in place of the one mean that it takes, and return its output.

    The head may be run on fewer rows than `mean` has: what follows the mean then has as many as this.

    Raises:
        ReplayError: it takes none, several, or one of another shape.
    """
    means = _Means(mean)
    with means:
        output = head()
    means.only()
    return output


def differentiate_at_mean(
    utilities_of: Callable[[], Float[Tensor, " rows"]], mean: Float[Tensor, "rows *features"]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows *features"]]:
    """Return utilities with `mean` in place of the one mean that the head takes, and their gradients in it.

    The head has to run on as many rows as `mean` has, on an activation that requires a gradient: the operation that
    took the mean is then a node of autograd's graph, and the gradient in its result is what passes into that node.

    Raises:
        ReplayError: the head takes no mean, several, or one of another shape.
    """
    utilities: Tensor = run_from_mean(utilities_of, mean)
    node, leaf = _mean_node(utilities.grad_fn)
    gradients: list[Tensor] = []
    hook = node.register_prehook(lambda incoming: gradients.append(incoming[0].detach().clone()))
    try:
        torch.autograd.grad(utilities.sum(), leaf)
    finally:
        hook.remove()
    return utilities.detach(), gradients[0]


def _mean_node(output_node: Any) -> tuple[Any, Tensor]:
    """Return autograd's node of the one mean that an output was computed from, and the leaf before it.

    Raises:
        ReplayError: there is none, or there are several.
    """
    stack, seen = [output_node], set[Any]()
    means, leaves = [], []
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().startswith("MeanBackward"):
            means.append(node)
        if node.name().endswith("AccumulateGrad"):
            leaves.append(node.variable)
        stack.extend(operand for operand, _ in node.next_functions)
    if len(means) != 1 or len(leaves) != 1:
        raise ReplayError(f"the head takes {len(means)} means of {len(leaves)} tensors; expected one of one")
    return means[0], leaves[0]


class _Means(TorchDispatchMode):
    """Keeps the result of each mean, and gives `replacement` for it where there is one."""

    def __init__(self, replacement: Tensor | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._replacement = replacement
        self._taken: list[TakenMean] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "overloadpacket", None) is not torch.ops.aten.mean:
            return result
        dims = args[1] if len(args) > 1 and args[1] else range(args[0].dim())
        self._taken.append(TakenMean(args[0], tuple(sorted(dim % args[0].dim() for dim in dims)), result))
        if self._replacement is None:
            return result
        if result.shape[1:] != self._replacement.shape[1:]:
            shapes = (
                f"(rows, {str(tuple(result.shape[1:]))[1:]} where (rows, {str(tuple(self._replacement.shape[1:]))[1:]}"
            )
            raise ReplayError(f"the head takes a mean of shape {shapes} was recorded; expected the same in each run")
        return self._replacement.to(result.dtype)

    def only(self) -> TakenMean:
        """Return the only mean.

        Raises:
            ReplayError: there is none, or there are several.
        """
        if len(self._taken) != 1:
            raise ReplayError(f"the head takes {len(self._taken)} means; expected one, as when it was recorded")
        return self._taken[0]
