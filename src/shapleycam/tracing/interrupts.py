"""Restores what Ctrl-C leaves behind where it comes between two lines of a context manager."""

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
    """Return the function, made to leave the thread's modes as they were also where KeyboardInterrupt ends it.

    Python raises KeyboardInterrupt between any two lines, also where the exit of a context has just begun: of a
    hundred explanations that are interrupted one leaves PyTorch's gradients switched off in the user's session. So the
    outermost function of ours puts the modes back by itself, after the contexts that are still open were closed.
    """

    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        before, handled = _ThreadModes.now(), sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            if not has_interrupt(error, handled):
                raise
            chain = _chain_of(error, handled)
            # Twice: what closes must not run inside a dispatch mode whose exit was interrupted, which ends the process
            # with PyTorch before 2.15; and what closes puts back modes of its own, such as gradients.
            before.restore()
            for each in chain:  # closes the generators of contexts in their frames now, and not some time later
                clear_frames(each.__traceback__)
            before.restore()
            if isinstance(error, Exception):  # PyTorch's, at the exit of a mode that the interrupt had left halfway
                raise KeyboardInterrupt from error
            raise

    return call


def has_interrupt(error: BaseException, handled: BaseException | None) -> bool:
    """Return whether an error is an interrupt, or was raised while one went up; `handled` is what the caller handles.

    PyTorch raises an error of its own at the exit of a mode that an interrupt has left halfway.
    """
    return not all(isinstance(each, Exception) for each in _chain_of(error, handled))


def _chain_of(error: BaseException | None, handled: BaseException | None) -> list[BaseException]:
    """Return an error and those that were handled when it was raised, but not what the caller handles."""
    return [] if error is None or error is handled else [error, *_chain_of(error.__context__, handled)]


@dataclass(frozen=True)
class _ThreadModes:
    """The modes of this thread that an explanation changes while it runs."""

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
