"""Run one half of a head that takes a sum over windows: the part up to the sum, or the part after it.

Both run the whole head, so that its code need not be understood. The first records the terms of the sum. The second
replaces the sum by another value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapleycam.errors import ReplayError
from shapleycam.game.dataflow import operation_name
from shapleycam.game.windows import CallPlace, WindowSum
from shapleycam.tracing.torch_internals import sequence_number


class TakenSum(NamedTuple):
    """The sum that a run of a head takes, and its terms.

    Attributes:
        contributions: (windows, rows, features), the term of each window.
        result: (rows, ...), the sum.
    """

    contributions: Float[Tensor, "windows rows features"]
    result: Float[Tensor, "rows *shape"]


def run_to_sum(head: Callable[[], Any], window_sum: WindowSum) -> TakenSum:
    """Run a head, and return the sum that it takes with the windows' contributions.

    Raises:
        ReplayError: it does not have the recorded operations.
    """
    with _SumTaker(window_sum) as taker:
        head()
    taker.check_counts()
    if taker.taken is None:
        raise ReplayError("the head does not take the sum that was recorded; expected the same in each run")
    taken: TakenSum = taker.taken
    return taken


def run_from_sum(head: Callable[[], Any], window_sum: WindowSum, value: Float[Tensor, "rows *shape"]) -> Any:
    """Run a head with `value` in place of the sum that it takes, and return its output.

    The head may run on fewer rows than `value` has; the operations after the sum then have the rows of `value`.

    Raises:
        ReplayError: it does not have the recorded operations, or the sum has another shape.
    """
    with _SumReplacer(window_sum, value) as replacer:
        output = head()
    replacer.check_counts()
    return output


def differentiate_at_sum(
    head: Callable[[Tensor], Tensor],
    utilities_of: Callable[[Tensor], Float[Tensor, " rows"]],
    activation: Float[Tensor, "rows *map"],
    window_sum: WindowSum,
    value: Float[Tensor, "rows *shape"],
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows *shape"]]:
    """Return the utilities of a head's output with `value` in place of the sum, and their gradients by the sum.

    The head runs on an activation that requires a gradient, so that the operation that returns the sum is a node of
    autograd's graph. The gradient by the sum is the gradient that enters this node in the backward pass.

    Raises:
        ReplayError: the head does not have the recorded operations, or the sum has another shape.
    """
    with _SumReplacer(window_sum, value) as replacer:
        output = head(activation)
    replacer.check_counts()
    node = _node(output.grad_fn, replacer.sequence_number, window_sum.result.name)
    utilities = utilities_of(output)
    gradients: list[Tensor] = []
    hook = node.register_prehook(lambda incoming: gradients.append(incoming[0].detach().clone()))
    try:
        torch.autograd.grad(utilities.sum(), activation)
    finally:
        hook.remove()
    return utilities.detach(), gradients[0]


def _node(output_node: Any, number: int, name: str) -> Any:
    """Return the autograd node with this sequence number and the name of this operation.

    Raises:
        ReplayError: there is no such node in the output's graph.
    """
    stack, seen = [output_node], set[Any]()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack.extend(operand for operand, _ in node.next_functions)
    of_call = [
        node
        for node in seen
        if sequence_number(node) == number and node.name().lower().startswith(name.replace("_", ""))
    ]
    if len(of_call) != 1:
        raise ReplayError(f"autograd's graph of the head has no {name} where one was recorded; expected the same")
    return of_call[0]


class _CountingMode(TorchDispatchMode):
    """Counts the calls of the operations that take and return the sum."""

    def __init__(self, window_sum: WindowSum) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sum = window_sum
        self._expected = {place.name: place.calls for place in (window_sum.source[0], window_sum.result)}
        self._counts: Counter[str] = Counter()

    def place(self, function: Any) -> CallPlace | None:
        """Return which call of an operation this is; None for other operations than those of the sum."""
        name = operation_name(function)
        if name not in self._expected:
            return None
        self._counts[name] += 1
        return CallPlace(name, self._counts[name] - 1, self._expected[name])

    def check_counts(self) -> None:
        """Refuse a run in which the operations were not called as often as in the recording.

        Raises:
            ReplayError: an operation was called more or less often.
        """
        for name, count in self._expected.items():
            if self._counts[name] != count:
                raise ReplayError(
                    f"the head calls {name} {self._counts[name]} times; expected {count}, as when it was recorded"
                )


class _SumTaker(_CountingMode):
    """Context that records the windows' contributions to the sum while a head runs."""

    def __init__(self, window_sum: WindowSum) -> None:
        super().__init__(window_sum)
        self._source: Tensor | None = None
        self.taken: TakenSum | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        place = self.place(func)
        call, operand = self._sum.source
        if place == call:
            self._source = tree_leaves((args, kwargs or {}))[operand]
        result = func(*args, **(kwargs or {}))
        if place == self._sum.result and self._source is not None:
            self.taken = TakenSum(self._sum.contributions(self._source), result.clone())
            self._source = None
        return result


class _SumReplacer(_CountingMode):
    """Context that replaces the sum while a head runs; `sequence_number` belongs to the autograd node of the sum."""

    def __init__(self, window_sum: WindowSum, value: Tensor) -> None:
        super().__init__(window_sum)
        self._value = value
        self.sequence_number = -1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_sum = self.place(func) == self._sum.result
        if is_sum:
            self.sequence_number = torch.autograd._get_sequence_nr() - 1  # noqa: SLF001  # no public name
        result = func(*args, **(kwargs or {}))
        if not is_sum:
            return result
        if result.shape[1:] != self._value.shape[1:]:
            raise ReplayError(
                f"the head takes a sum of shape (rows, {', '.join(map(str, result.shape[1:]))}); expected "
                f"(rows, {', '.join(map(str, self._value.shape[1:]))}), as when it was recorded"
            )
        return self._value.to(result.dtype, copy=True)  # a copy, since later operations may write into it
