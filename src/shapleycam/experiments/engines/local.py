"""Work in this process, with items prepared ahead by others."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from shapleycam.errors import OptionError
from shapleycam.wording import first_line

_LOOK = 1.0
"""Seconds between looks whether the parent is there."""
Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Local:
    """`workers` processes prepare ahead; with 0 this one does, when the item's turn comes."""

    workers: int = 0

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Prepared],
        perform: Callable[[Prepared], Iterable[Result]],
    ) -> Generator[Result, None, None]:
        """As `Engine.run`, one item after the other."""
        with closing(prepared_ahead(items, prepare, self.workers)) as ready:
            for one in ready:
                yield from perform(one)

    def provenance(self) -> dict[str, Any]:
        """As `Engine.provenance`."""
        return {"engine": "local", "workers": self.workers}


def prepared_ahead(
    items: Sequence[Item], prepare: Callable[[Item], Prepared], workers: int
) -> Generator[Prepared, None, None]:
    """Each item prepared, in order, ahead by `workers` processes.

    Raises:
        OptionError: one of them died.
    """
    loader = DataLoader(
        _Items(items, prepare),
        worker_init_fn=partial(_end_with, os.getpid()),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
    )
    try:
        yield from loader
    except RuntimeError as error:
        if not re.search("exited unexpectedly|killed by signal", str(error)):
            raise
        reason = first_line(error)
        raise OptionError(f"a decoding process died ({reason}); free some memory, or decode with workers=0") from error


class _Items(Dataset[Any]):
    """What a worker process does."""

    def __init__(self, items: Sequence[Any], prepare: Callable[[Any], Any]) -> None:
        self.items, self.prepare = items, prepare

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.prepare(self.items[index])


def _end_with(parent: int, _: int) -> None:
    """Let a worker end when its parent has: one that is killed cannot say so, and its workers would wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _as_it_is(one: Any) -> Any:
    return one
