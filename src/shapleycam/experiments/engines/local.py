"""An engine in this process, with items prepared ahead by other processes."""

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
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from shapleycam.errors import OptionError, ShapleyCamWarning, warn
from shapleycam.wording import first_line

_PARENT_CHECK_SECONDS = 1.0
"""How often a worker checks whether its parent still runs."""
_SIGNAL_SECONDS = 0.3
"""How long a signal that has ended a worker may take to reach this process too."""
_OF_THE_TERMINAL = {signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)}
"""Signals that a terminal sends to all its processes, which this process alone shall answer."""
Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Local:
    """The engine that works in this process.

    Args:
        workers: processes that prepare items ahead; with 0 this process prepares an item when its turn comes.

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
            ShapleyCamError: what a step raised, or a worker died.
        """
        with closing(prepare_ahead(items, prepare, self.workers)) as prepared_items:
            for prepared in prepared_items:
                yield from perform(prepared)

    def provenance(self) -> dict[str, Any]:
        """Return what the manifest says of the engine."""
        return {"engine": "local", "workers": self.workers}


def prepare_ahead(
    items: Sequence[Item], prepare: Callable[[Item], Prepared], workers: int
) -> Generator[Prepared, None, None]:
    """Yield each item prepared, in order, by `workers` processes that run ahead.

    Of a process that is forked only the forking thread goes on, and what another one had locked stays locked. Therefore
    nothing that workers do may need threads or locks of the program: PyTorch computes with one thread there, by
    DataLoader; datasets are read without Polars, and from files that each process opens for itself; the library's
    warnings are given here; and what workers print does not go through a display that a thread of the program draws.

    Raises:
        OptionError: one of them died, or the work cannot be sent to them.
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
        generator=torch.Generator(),  # workers' seeds are drawn from it; without it from the caller's random state
    )
    try:
        # DataLoader draws a seed on the default device; workers inherit that, and cannot use this process's GPU.
        with torch.device("cpu"), _signals_held_back():
            prepared_items = iter(loader)
        for prepared, caught in prepared_items:
            for category, text in caught:
                warn(category, text)
            yield prepared
    except RuntimeError as error:
        if not re.search("exited unexpectedly|killed by signal", str(error)):
            raise
        time.sleep(_SIGNAL_SECONDS)  # where the signal was for all processes, it interrupts this one here
        guard = "" if forks_processes() else ", or call it under `if __name__ == '__main__':` in your script"
        raise OptionError(
            f"a decoding process died ({first_line(error)}); free some memory, or decode with workers=0{guard}"
        ) from error


def forks_processes() -> bool:
    """Return whether new processes are forks of this one, as on Linux before Python 3.14.

    Elsewhere they import the program's script again, and what they work on is sent to them by pickle.
    """
    return _start_method() == "fork"


def _start_method() -> str:
    # get_start_method() alone would fix the method, and the user could not choose one any more.
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


class _PreparedItems(Dataset[Any]):
    """Items as a dataset whose elements are prepared where they are read, which is in the workers."""

    def __init__(self, items: Sequence[Any], prepare: Callable[[Any], Any]) -> None:
        self.items, self.prepare = items, prepare

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, list[tuple[type[ShapleyCamWarning], str]]]:
        """Return a prepared item with the library's warnings of it that the program has not seen."""
        if get_worker_info() is None:
            return self.prepare(self.items[index]), []
        with _library_warnings_caught() as caught:
            return self.prepare(self.items[index]), caught


@contextmanager
def _library_warnings_caught() -> Iterator[list[tuple[type[ShapleyCamWarning], str]]]:
    """Collect category and text of the library's warnings while the context lasts; others are shown as before."""
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
    """Hold the terminal's signals back while workers start: these inherit that, and never get them.

    Otherwise each worker that Ctrl-C reaches prints a traceback. This process gets its signals when the context ends.
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
    """Refuse what cannot be pickled, in one line instead of torch's traceback.

    Raises:
        OptionError: such as a preprocessing that is a lambda.
    """
    try:
        ForkingPickler.dumps(dataset)
    except Exception as error:  # pickle raises errors of many types
        raise OptionError(
            f"photographs cannot be sent to decoding processes ({first_line(error)}); give a preprocess and a dataset "
            "that can be pickled, such as functions of a module, or decode with workers=0"
        ) from error


def _prepare_worker(_: int) -> None:
    """Let this worker ignore the terminal's signals, print by itself, and end when the program has ended.

    The program may have put a display in place of its streams, as rich does while a progress bar is shown. Its lock may
    have been held when this worker was forked, and is never released here.

    A killed program sends no message, and its workers would wait. The system tells a worker that the program has ended,
    except one that was forked before others, which hold the program's end of its pipe too; such a worker gets another
    parent.
    """
    for number in _OF_THE_TERMINAL:  # where they could not be held back
        signal.signal(number, signal.SIG_IGN)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    program, parent = multiprocessing.parent_process(), os.getppid()

    def watch() -> None:
        while program is not None and program.is_alive() and os.getppid() == parent:
            program.join(_PARENT_CHECK_SECONDS)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _unchanged(prepared: Any) -> Any:
    """Return an element as it is: the default would make tensors of its arrays, which travel by shared memory."""
    return prepared
