"""What an engine is: it does the same two steps to each of many items, somewhere."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does work on items: `prepare` of each where a processor is free, then `perform` where the model is."""

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Prepared],
        perform: Callable[[Prepared], Iterable[Result]],
    ) -> Generator[Result, None, None]:
        """The results of all items, those of one item in order; items may overtake each other. To be closed.

        Both steps can be pickled, and do the same when they are done again: an item whose worker dies is tried again by
        another. `perform` keeps between its calls in one process what is dear, such as the model.

        Raises:
            ShapleyCamError: what a step raised, or a worker that cannot be had or kept.
        """

    def provenance(self) -> dict[str, Any]:
        """What results shall note of how they were made."""
