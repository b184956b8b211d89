"""Restore the modes of a thread if Ctrl-C interrupts a context manager between two of its lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from traceback import clear_frames
from typing import ParamSpec, TypeVar

import torch
from torch.overrides import _pop_mode as pop_function_mode
from torch.utils._python_dispatch import _pop_mode as pop_dispatch_mode

from shapleycam.process_switches import ProcessSwitch
from shapleycam.tracing.suspension import AUTOCAST_DEVICES

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def restore_when_interrupted(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return a wrapper of the function that restores the thread's modes if KeyboardInterrupt ends the function.

    Python may raise KeyboardInterrupt between any two lines, for example when the exit of a context has just begun:
    about one in a hundred interrupted explanations would leave PyTorch's gradients switched off in the user's session.
    So the outermost function of this library closes the contexts that are still open, and restores the modes itself.
    """

    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        before, handled = _ThreadModes.now(), sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            if not _has_interrupt(error, handled):
                raise
            chain = _chain_of(error, handled)
            # Restore before and after the contexts are closed. Before: code inside a dispatch mode whose exit was
            # interrupted ends the process (PyTorch before 2.15). After: contexts restore modes too, such as gradients.
            before.restore()
            for each in chain:  # closes the generators of open contexts now, and not at some later time
                clear_frames(each.__traceback__)
            before.restore()
            if isinstance(error, Exception):  # PyTorch's own error, at the exit of a mode that was interrupted
                raise KeyboardInterrupt from error
            raise

    return call


def result_or_none(run: Callable[[], _Result]) -> _Result | None:
    """Return the result of running a model on images that the user did not give; None if the model raises an error.

    A model, and a function of the user that selects its output, may raise any error for noise, or for another memory
    order. An interrupt is raised.
    """
    handled = sys.exception()
    try:
        return run()
    except Exception as error:
        if _has_interrupt(error, handled):
            raise
        return None


def _has_interrupt(error: BaseException, handled: BaseException | None) -> bool:
    """Return whether an error is an interrupt, or was raised while an interrupt propagated.

    `handled` is the exception that the caller was handling before. PyTorch raises an error of its own at the exit of a
    mode that an interrupt has left incomplete.
    """
    return not all(isinstance(each, Exception) for each in _chain_of(error, handled))


def _chain_of(error: BaseException | None, handled: BaseException | None) -> list[BaseException]:
    """Return an error and the chain of its contexts, up to but without the error that the caller handles."""
    return [] if error is None or error is handled else [error, *_chain_of(error.__context__, handled)]


@dataclass(frozen=True)
class _ThreadModes:
    """The modes of a thread that an explanation changes while it runs."""

    gradients: bool
    autocast: dict[str, bool]
    function_modes: int
    dispatch_modes: int
    switches: dict[ProcessSwitch, int]

    @classmethod
    def now(cls) -> _ThreadModes:
        return cls(
            torch.is_grad_enabled(),
            {device: torch.is_autocast_enabled(device) for device in AUTOCAST_DEVICES},
            torch._C._len_torch_function_stack(),  # noqa: SLF001  # there is no public name
            torch._C._len_torch_dispatch_stack(),  # noqa: SLF001
            {switch: switch.depth for switch in tuple(ProcessSwitch.instances)},
        )

    def restore(self) -> None:
        now = self.now()
        for _ in range(now.function_modes - self.function_modes):
            pop_function_mode()
        for _ in range(now.dispatch_modes - self.dispatch_modes):
            pop_dispatch_mode()
        for device, enabled in self.autocast.items():
            if now.autocast[device] != enabled:
                torch.set_autocast_enabled(device, enabled)
        for switch, depth in self.switches.items():
            switch.leave_to(depth)
        torch.set_grad_enabled(self.gradients)
