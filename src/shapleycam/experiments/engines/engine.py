"""The interface of an engine, which does the same two steps for each of many items."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


class Engine(Protocol):
    """Works on items: `prepare` of each where a processor is free, then `perform` where the model is.

    Examples:
        >>> from shapleycam.experiments.engines import Engine, Local
        >>> engine: Engine = Local()
        >>> engine.provenance()
        {'engine': 'local', 'workers': 0}
    """

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Prepared],
        perform: Callable[[Prepared], Iterable[Result]],
    ) -> Generator[Result, None, None]:
        """Yield the results of all items; those of one item are in order, items may overtake each other.

        The caller closes the generator. Both steps can be pickled, and do the same when they are called twice for an
        item, since an item whose worker dies is tried again by another. `perform` may keep what is slow to build, such
        as the model, from call to call in one process.

        Raises:
            ShapleyCamError: what a step raised, or a worker that cannot be started or was lost.
        """

    def provenance(self) -> dict[str, Any]:
        """Return what the manifest says of the engine."""
