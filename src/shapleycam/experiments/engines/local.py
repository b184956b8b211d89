"""`Local`: an engine that works in this process, while other processes prepare items ahead."""

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
"""Seconds between a worker's checks whether its parent process still runs."""
_SIGNAL_SECONDS = 0.3
"""Seconds to wait for a signal to this process, after a signal has ended a worker."""
_TERMINAL_SIGNALS = {signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)}
"""Signals that a terminal sends to all its processes; workers ignore them, and only this process handles them."""
Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Local:
    """The engine that works in this process.

    Args:
        workers: number of processes that prepare items ahead; with 0, this process prepares each item itself.

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
        """Yield the results of all items in the order of the items, as `Engine.run`.

        Raises:
            ShapleyCamError: a step raised it, or a worker died.
        """
        with closing(prepare_ahead(items, prepare, self.workers)) as prepared_items:
            for prepared in prepared_items:
                yield from perform(prepared)

    def provenance(self) -> dict[str, Any]:
        """Return the engine's entries in the manifest."""
        return {"engine": "local", "workers": self.workers}


def prepare_ahead(
    items: Sequence[Item], prepare: Callable[[Item], Prepared], workers: int
) -> Generator[Prepared, None, None]:
    """Yield the prepared items in order; `workers` processes prepare them ahead.

    A forked process has only the thread that called fork; a lock that another thread held at that time is never
    released in it. So workers must not use threads or locks of the parent process:

    - PyTorch computes with one thread in workers, which DataLoader ensures;
    - datasets are read without Polars, and each process opens its own files;
    - the library's warnings are sent to the parent process and issued there;
    - workers print directly, and not through a progress display that a thread of the parent draws.

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
        generator=torch.Generator(),  # source of the workers' seeds, so that the caller's random state is not used
    )
    try:
        # DataLoader draws a seed on the default device, which forked workers inherit, and these cannot use this
        # process's GPU.
        with torch.device("cpu"), _terminal_signals_blocked():
            prepared_items = iter(loader)
        for prepared, caught in prepared_items:
            for category, text in caught:
                warn(category, text)
            yield prepared
    except RuntimeError as error:
        if not re.search("exited unexpectedly|killed by signal", str(error)):
            raise
        time.sleep(_SIGNAL_SECONDS)  # if the signal was sent to all processes, it interrupts this one here
        guard = "" if forks_processes() else ", or call it under `if __name__ == '__main__':` in your script"
        raise OptionError(
            f"a decoding process died ({first_line(error)}); free some memory, or decode with workers=0{guard}"
        ) from error


def forks_processes() -> bool:
    """Return whether new processes are forks of this one, as on Linux before Python 3.14.

    Otherwise they import the user's script again, and receive their work as a pickle.
    """
    return _start_method() == "fork"


def _start_method() -> str:
    # get_start_method() without allow_none would set the method, and the user could no longer choose one.
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


class _PreparedItems(Dataset[Any]):
    """A dataset whose elements are the prepared items; each is prepared when a worker reads it."""

    def __init__(self, items: Sequence[Any], prepare: Callable[[Any], Any]) -> None:
        self.items, self.prepare = items, prepare

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, list[tuple[type[ShapleyCamWarning], str]]]:
        """Return a prepared item, and the library's warnings that a worker caught meanwhile."""
        if get_worker_info() is None:
            return self.prepare(self.items[index]), []
        with _library_warnings_caught() as caught:
            return self.prepare(self.items[index]), caught


@contextmanager
def _library_warnings_caught() -> Iterator[list[tuple[type[ShapleyCamWarning], str]]]:
    """Yield a list that collects category and text of the library's warnings; other warnings are shown as before."""
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
def _terminal_signals_blocked() -> Iterator[None]:
    """Block the terminal's signals while workers are started; workers inherit the mask and never receive them.

    Otherwise each worker prints a traceback at Ctrl-C. This process receives pending signals when the context ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_can_be_sent(dataset: Dataset[Any]) -> None:
    """Refuse work that cannot be pickled with a one-line error, instead of a traceback from PyTorch.

    Raises:
        OptionError: the work cannot be pickled, for example because the preprocessing is a lambda.
    """
    try:
        ForkingPickler.dumps(dataset)
    except Exception as error:  # pickle raises errors of many types
        raise OptionError(
            f"photographs cannot be sent to decoding processes ({first_line(error)}); give a preprocess and a dataset "
            "that can be pickled, such as functions of a module, or decode with workers=0"
        ) from error


def _prepare_worker(_: int) -> None:
    """Make this worker ignore the terminal's signals, print directly, and exit when the parent process has ended.

    The parent may have replaced its output streams by a display, as rich does for a progress bar. The display's lock
    may have been held when this worker was forked; then it is never released here.

    A killed parent sends no message, and its workers would wait forever. So a thread watches the parent in two ways.
    `is_alive` detects the end of the parent by a closed pipe. It fails if workers that were forked later still hold the
    parent's end of this pipe; but then the parent's process id changes.
    """
    for number in _TERMINAL_SIGNALS:  # for systems without signal masks
        signal.signal(number, signal.SIG_IGN)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    program, parent = multiprocessing.parent_process(), os.getppid()

    def watch() -> None:
        while program is not None and program.is_alive() and os.getppid() == parent:
            program.join(_PARENT_CHECK_SECONDS)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _unchanged(prepared: Any) -> Any:
    """Return an element unchanged; the default would convert arrays to tensors, which need shared memory."""
    return prepared
