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
    head: Callable[[Tensor], Tensor],
    utilities_of: Callable[[Tensor], Float[Tensor, " rows"]],
    activation: Float[Tensor, "rows *shape"],
    mean: Float[Tensor, "rows *features"],
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows *features"]]:
    """Return utilities of a head's output with `mean` in place of its one mean, and their gradients in `mean`.

    The head runs on an activation that requires a gradient, so that the operation that takes the mean is a node of
    autograd's graph: the gradient in its result is what passes into that node.

    Raises:
        ReplayError: the head takes no mean, several, or one of another shape.
    """
    output = run_from_mean(lambda: head(activation), mean)
    node = _mean_node(output.grad_fn)
    utilities = utilities_of(output)
    gradients: list[Tensor] = []
    hook = node.register_prehook(lambda incoming: gradients.append(incoming[0].detach().clone()))
    try:
        torch.autograd.grad(utilities.sum(), activation)
    finally:
        hook.remove()
    return utilities.detach(), gradients[0]


def _mean_node(output_node: Any) -> Any:
    """Return autograd's node of the one mean that an output was computed from.

    Raises:
        ReplayError: there is none, or there are several.
    """
    stack, seen = [output_node], set[Any]()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(operand for operand, _ in node.next_functions)
    means = [node for node in seen if node.name().startswith("MeanBackward")]
    if len(means) != 1:
        raise ReplayError(f"the graph of the head has {len(means)} means; expected one, as when it was recorded")
    return means[0]


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
