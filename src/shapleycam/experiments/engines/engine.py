"""`Engine`: the interface for running the same two steps on each of many items."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs two steps on each item: `prepare` on any free processor, then `perform` in the process of the model.

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
        """Yield the results of all items; the results of one item are in order, but items may come in any order.

        The caller must close the generator. Both steps must be picklable and idempotent, because an item is tried again
        by another worker if its worker dies. `perform` may cache objects that are slow to build, such as the model,
        between calls in one process.

        Raises:
            ShapleyCamError: a step raised it, or a worker cannot be started or was lost.
        """

    def provenance(self) -> dict[str, Any]:
        """Return the engine's entries in the manifest."""
