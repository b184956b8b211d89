"""`Local`: an engine that works in this process; other processes prepare items ahead."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from threading import Thread
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from shapleycam.errors import OptionError, ShapleyCamWarning, warn
from shapleycam.experiments.engines.engine import Item, Prepared, Result
from shapleycam.foreign_errors import convert_errors
from shapleycam.wording import first_line

_PARENT_CHECK_SECONDS = 1.0
"""How often a worker checks whether its parent still runs."""
_SIGNAL_SECONDS = 0.3
"""How long a signal that ended a worker may take to reach this process."""
_OF_THE_TERMINAL = {signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)}
"""Signals that a terminal sends to all its processes; only this process should handle them."""


@dataclass(frozen=True)
class Local:
    """The engine that works in this process.

    Args:
        workers: the number of processes that prepare items ahead; with 0 this process prepares each item itself.

    Examples:
        >>> from shapleycam.experiments import Local
        >>> list(Local().run([1, 2], str, lambda text: [text, text * 2]))
        ['1', '11', '2', '22']
    """

    workers: int = 0

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[Item], Prepared],
        perform: Callable[[Prepared], Iterable[Result]],
    ) -> Generator[Result, None, None]:
        """Yield the results of all items, one item after the other, as `Engine.run`.

        Raises:
            ShapleyCamError: a step raised it, or a worker died.
        """
        with closing(prepare_ahead(items, prepare, self.workers)) as prepared_items:
            for prepared in prepared_items:
                yield from perform(prepared)

    def provenance(self) -> dict[str, Any]:
        """Return the engine's record in the manifest."""
        return {"engine": "local", "workers": self.workers}


def prepare_ahead(
    items: Sequence[Item], prepare: Callable[[Item], Prepared], workers: int
) -> Generator[Prepared, None, None]:
    """Yield the prepared items in order; `workers` processes prepare them ahead.

    In a forked process only the forking thread continues, and locks of other threads stay locked. So workers must not
    need threads or locks of the program:

    - PyTorch computes with one thread in them, which DataLoader sets;
    - datasets are read without Polars, from files that each process opens itself;
    - the library's warnings are issued in this process;
    - workers do not print through a display that a thread of the program draws.

    Raises:
        OptionError: a worker died, or the work cannot be pickled.
    """
    dataset = _PreparedItems(items, prepare)
    if workers and not forks_processes():
        _check_can_be_sent(dataset)
    loader = DataLoader(
        dataset,
        worker_init_fn=_prepare_worker,
        batch_size=None,
        num_workers=workers,
        collate_fn=_unchanged,
        generator=torch.Generator(),  # for the workers' seeds, which otherwise change the caller's random state
    )
    try:
        # DataLoader draws a seed on the default device, which workers inherit; but they cannot use this process's GPU.
        with torch.device("cpu"), _signals_held_back():
            prepared_items = iter(loader)
        for prepared, caught in prepared_items:
            for category, text in caught:
                warn(category, text)
            yield prepared
    except RuntimeError as error:
        if not re.search("exited unexpectedly|killed by signal", str(error)):
            raise
        time.sleep(_SIGNAL_SECONDS)  # a signal to all processes interrupts this process here
        guard = "" if forks_processes() else ", or call it under `if __name__ == '__main__':` in your script"
        raise OptionError(
            f"a decoding process died ({first_line(error)}); free some memory, or decode with workers=0{guard}"
        ) from error


def forks_processes() -> bool:
    """Return whether new processes are forks of this one, as on Linux before Python 3.14.

    Otherwise new processes import the program's script again, and their work is pickled.
    """
    return _start_method() == "fork"


def _start_method() -> str:
    # Without allow_none=True, get_start_method() sets the method, and the user cannot choose another one later.
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


class _PreparedItems(Dataset[Any]):
    """Items as a dataset whose elements are prepared when they are read, in the workers."""

    def __init__(self, items: Sequence[Any], prepare: Callable[[Any], Any]) -> None:
        self.items, self.prepare = items, prepare

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, list[tuple[type[ShapleyCamWarning], str]]]:
        """Return a prepared item, with the library's warnings that a worker caught while preparing it."""
        if get_worker_info() is None:
            return self.prepare(self.items[index]), []
        with _library_warnings_caught() as caught:
            return self.prepare(self.items[index]), caught


@contextmanager
def _library_warnings_caught() -> Iterator[list[tuple[type[ShapleyCamWarning], str]]]:
    """Context that collects the category and text of the library's warnings; other warnings are shown as usual."""
    caught: list[tuple[type[ShapleyCamWarning], str]] = []
    show_other = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, ShapleyCamWarning):
            caught.append((category, str(message)))
        else:
            show_other(message, category, *rest, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ShapleyCamWarning)
        warnings.showwarning = show
        yield caught


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Context that blocks the terminal's signals while workers start; workers inherit the block.

    Otherwise each worker would print a traceback at Ctrl-C. This process gets its signals when the context ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_can_be_sent(dataset: Dataset[Any]) -> None:
    """Refuse work that cannot be pickled, with one line instead of PyTorch's traceback.

    Raises:
        OptionError: it cannot be pickled, for example because the preprocessing is a lambda.
    """
    with convert_errors(
        lambda error: OptionError(
            f"photographs cannot be sent to decoding processes ({first_line(error)}); give a preprocess and a dataset "
            "that can be pickled, such as functions of a module, or decode with workers=0"
        )
    ):
        ForkingPickler.dumps(dataset)


def _prepare_worker(_: int) -> None:
    """Set up a worker: ignore the terminal's signals, print to the original streams, and end with the program.

    The program may have replaced its streams by a display, as rich does for a progress bar. The display's lock may have
    been held when this worker was forked, and would never be released here.

    A killed program sends no message, and its workers would wait forever. A worker sees the end of the program by its
    pipe. A worker that was forked before others cannot rely on that, since these hold the program's end of the pipe
    too; it sees that its parent process has changed.
    """
    for number in _OF_THE_TERMINAL:  # on platforms where they cannot be blocked
        signal.signal(number, signal.SIG_IGN)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    program, parent = multiprocessing.parent_process(), os.getppid()

    def watch() -> None:
        while program is not None and program.is_alive() and os.getppid() == parent:
            program.join(_PARENT_CHECK_SECONDS)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _unchanged(prepared: Any) -> Any:
    """Return an element unchanged; the default would convert its arrays to tensors, which need shared memory."""
    return prepared
