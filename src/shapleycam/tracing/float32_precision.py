"""Switch off reduced float32 arithmetic: TensorFloat-32 on NVIDIA GPUs, bfloat16 products on some CPUs.

By default PyTorch computes convolutions on a GPU in TensorFloat-32, which has 10 bits of mantissa instead of 23: about
three digits. Then everything that is compared with a pass (other batch sizes, finite differences, a replay of the head)
differs by more than float32 rounding (docs/decisions.md, "float32 is float32 on a GPU too"). The settings apply to the
whole process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.backends import cuda, cudnn, mkldnn

from shapleycam.process_switches import ProcessSwitch

_FULL = ("ieee", "none")
"""Values of `fp32_precision` that mean full float32; "none" is the value of a setting that was never made."""


class _Setting(NamedTuple):
    """One of PyTorch's older settings: functions to read and write it, and its value for full precision."""

    read: Callable[[], Any]
    write: Callable[[Any], object]
    full: Any


def _tf32_of(holder: Any) -> _Setting:
    return _Setting(lambda: holder.allow_tf32, partial(setattr, holder, "allow_tf32"), full=False)


_OLDER = (
    _tf32_of(cudnn),
    _tf32_of(cuda.matmul),
    _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
)
_OPERATIONS: tuple[Any, ...] = tuple(
    getattr(holder, name)
    for holder, names in ((cudnn, ("conv", "rnn")), (cuda, ("matmul",)), (mkldnn, ("conv", "rnn", "matmul")))
    for name in names
    if hasattr(getattr(holder, name, None), "fp32_precision")
)
"""The objects with their own `fp32_precision`, which PyTorch has since version 2.9; none in older versions."""


def _read(setting: _Setting) -> Any:
    """Return a setting's value; None if newer settings contradict it, because then PyTorch refuses to read it."""
    try:
        return setting.read()
    except RuntimeError:
        return None


class _Float32Switches:
    """PyTorch's older and newer settings of float32 arithmetic, and their values before they were changed.

    Both kinds are set, because PyTorch refuses (in other threads as well) to read an older setting that contradicts a
    newer one. The older ones are set first, because setting them changes the newer ones too.
    """

    def __init__(self) -> None:
        self._older: list[tuple[_Setting, Any]] = []
        self._newer: list[tuple[Any, str]] = []

    def set_full(self) -> None:
        """Make all operations compute in full float32."""
        self._newer = [(operation, operation.fp32_precision) for operation in _OPERATIONS]
        older = [(setting, _read(setting)) for setting in _OLDER]  # read all of them first: writing one changes others
        self._older = [(setting, value) for setting, value in older if value not in (None, setting.full)]
        for setting, _ in self._older:
            setting.write(setting.full)
        for operation in _OPERATIONS:
            if operation.fp32_precision not in _FULL:
                operation.fp32_precision = "ieee"

    def restore(self) -> None:
        """Restore the values before `set_full`."""
        for setting, value in self._older:
            setting.write(value)
        for operation, value in self._newer:
            if operation.fp32_precision != value:
                operation.fp32_precision = "none"  # follow the setting for all operations again, if it did before
            if operation.fp32_precision != value:
                operation.fp32_precision = value
        self._older, self._newer = [], []


_SWITCHES = _Float32Switches()
full_float32 = ProcessSwitch(_SWITCHES.set_full, _SWITCHES.restore).hold
"""Context manager: float32 arithmetic has full precision, whatever the caller has set."""
