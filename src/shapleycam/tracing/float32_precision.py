"""Switches float32 arithmetic with fewer digits off: TensorFloat-32 on NVIDIA GPUs, bfloat16 products on some CPUs.

PyTorch computes convolutions on a GPU in TensorFloat-32 unless it is told otherwise: with 10 bits of mantissa in place
of 23. Three digits are left then, and all that a pass is compared with, other batch sizes, finite differences, the
head run again, differs by more than rounding (docs/decisions.md, "float32 is float32 on a GPU too"). The settings
belong to the whole process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.backends import cuda, cudnn, mkldnn

from shapleycam.process_switches import ProcessSwitch

_FULL = ("ieee", "none")
"""Values of `fp32_precision` that compute in float32; the second is that of a setting that was never made."""


class _Setting(NamedTuple):
    """One of PyTorch's older settings: functions that read and write it, and its value for full precision."""

    read: Callable[[], Any]
    write: Callable[[Any], object]
    full: Any


def _attribute(holder: Any, name: str, full: Any) -> _Setting:
    return _Setting(lambda: getattr(holder, name), lambda value: setattr(holder, name, value), full)


_OLDER = (
    _attribute(cudnn, "allow_tf32", full=False),
    _attribute(cuda.matmul, "allow_tf32", full=False),
    _Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
)
_OPERATIONS: tuple[Any, ...] = tuple(
    getattr(holder, name)
    for holder, names in ((cudnn, ("conv", "rnn")), (cuda, ("matmul",)), (mkldnn, ("conv", "rnn", "matmul")))
    for name in names
    if hasattr(getattr(holder, name, None), "fp32_precision")
)
"""What has a `fp32_precision` of its own, since PyTorch 2.9; older versions have none."""


def _read(setting: _Setting) -> Any:
    """Return a setting's value; None where newer settings contradict it, so that PyTorch does not read it."""
    try:
        return setting.read()
    except RuntimeError:
        return None


class _Float32Switches:
    """PyTorch's settings of float32 arithmetic, older and newer ones, and what they were before.

    Both are set, and the older ones first, which set the newer too: PyTorch refuses to read an older setting that
    contradicts a newer one, in other threads as well.
    """

    def __init__(self) -> None:
        self._older: list[tuple[_Setting, Any]] = []
        self._newer: list[tuple[Any, str]] = []

    def set_full(self) -> None:
        """Let all operations compute in float32."""
        self._newer = [(operation, operation.fp32_precision) for operation in _OPERATIONS]
        older = [(setting, _read(setting)) for setting in _OLDER]  # all are read first: to write one changes others
        self._older = [(setting, value) for setting, value in older if value not in (None, setting.full)]
        for setting, _ in self._older:
            setting.write(setting.full)
        for operation in _OPERATIONS:
            if operation.fp32_precision not in _FULL:
                operation.fp32_precision = "ieee"

    def restore(self) -> None:
        """Set the settings to what they were."""
        for setting, value in self._older:
            setting.write(value)
        for operation, value in self._newer:
            if operation.fp32_precision != value:
                operation.fp32_precision = "none"  # as far as it follows a setting of all operations, it does so again
            if operation.fp32_precision != value:
                operation.fp32_precision = value
        self._older, self._newer = [], []


_SWITCHES = _Float32Switches()
full_float32 = ProcessSwitch(_SWITCHES.set_full, _SWITCHES.restore).hold
"""Context manager: float32 arithmetic is float32, whatever the caller allows."""
