"""Passes that run in bfloat16 up to the layer: this part takes a third of the time on CPUs that support bfloat16.

The layer's activation is converted to float32, so the head, the utility, values and derivatives are computed in
float32. PyTorch's autocast chooses the operations that run in bfloat16; the weights are not converted
(docs/decisions.md, "bfloat16 is for the part before the layer, and is measured").
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shapleycam.errors import LayerError, ModelError, OptionError
from shapleycam.lru_cache import LRUCache
from shapleycam.names import nearest
from shapleycam.precision import HALF
from shapleycam.tracing.nested import float_tensors_of
from shapleycam.tracing.weight_changes import WeightsMark
from shapleycam.wording import percent

Precision: TypeAlias = Literal["full", "bfloat16"]
"""The precision before the layer: "full" is the network's own."""
_DEVICES = ("cpu", "cuda")
_MAX_DEVIATION = 0.1
"""How much bfloat16 may change the output, as a share of its largest number; usually it is about a hundredth."""
_MAX_FORMS = 256
"""How many forms of batches are remembered for each model."""
_compared: WeakKeyDictionary[nn.Module, LRUCache[Hashable, WeightsMark]] = WeakKeyDictionary()
"""For each of the user's models, the forms of batches that were compared, with the model's weights at that time."""


def was_compared(owner: nn.Module, form: Hashable, weights: WeightsMark) -> bool:
    """Return whether a pass of this form was compared with one in full precision, with these weights."""
    known = _compared.setdefault(owner, LRUCache(_MAX_FORMS)).get(form)
    return known is not None and known.equals(weights)


def mark_compared(owner: nn.Module, form: Hashable, weights: WeightsMark) -> None:
    """Record that a pass of this form was compared with one in full precision, with these weights."""
    _compared.setdefault(owner, LRUCache(_MAX_FORMS)).put(form, weights)


def check_precision(precision: str) -> Precision:
    """Return the precision that the user gave.

    Raises:
        OptionError: it is unknown.
    """
    if precision not in get_args(Precision):
        raise OptionError(f"precision={precision!r}; {nearest(str(precision), get_args(Precision))}")
    return precision  # type: ignore[return-value]


def check_takes_bfloat16(model: nn.Module, images: Tensor) -> None:
    """Refuse bfloat16 for a network or images that are not in float32, or on another device than a CPU or GPU.

    Raises:
        OptionError: bfloat16 is refused.
    """
    kinds = {tensor.dtype for tensor in (*model.parameters(), images) if tensor.is_floating_point()}
    if kinds != {torch.float32}:
        names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds - {torch.float32}))
        raise OptionError(
            f"precision='bfloat16' was given, and the weights or images are in {names}; expected float32: leave "
            "precision= out"
        )
    if images.device.type not in _DEVICES:
        raise OptionError(
            f"precision='bfloat16' was given on device {images.device.type!r}; expected {' or '.join(_DEVICES)}: leave "
            "precision= out"
        )


class ReducedPass:
    """A pass that runs in bfloat16 inside the context `running`, until `begin_head` is called at the layer.

    With `watched` every operation is observed, which `check` needs.
    """

    def __init__(self, device: torch.device, *, watched: bool = False) -> None:
        self._device_type = device.type
        self._monitor = _BFloat16Monitor() if watched else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the code inside in bfloat16, until the layer."""
        # torch.autocast cannot be used: this library suspends it during a pass, because a model may contain its own.
        before = torch.get_autocast_dtype(self._device_type)
        torch.set_autocast_dtype(self._device_type, torch.bfloat16)
        torch.set_autocast_enabled(self._device_type, True)
        try:
            if self._monitor is None:
                yield
            else:
                with self._monitor:
                    yield
        finally:
            torch.set_autocast_enabled(self._device_type, False)
            torch.set_autocast_dtype(self._device_type, before)

    def begin_head(self, activation: Tensor) -> Tensor:
        """Return the layer's activation in float32; all later operations run in full precision."""
        torch.set_autocast_enabled(self._device_type, False)
        widened = activation.float() if activation.dtype in HALF else activation
        if self._monitor is not None:
            self._monitor.is_in_head = True
        return widened

    def check(self, layer: str, output: Any, exact: Any) -> None:
        """Check a watched pass, and compare its output with `exact`, the output in full precision.

        Raises:
            LayerError: no operation before the layer runs in bfloat16, or bfloat16 tensors bypass the layer.
            ModelError: the output differs by more than rounding to bfloat16 should change it.
        """
        if self._monitor is None:
            return
        if not self._monitor.returned_bfloat16:
            raise LayerError(
                f"nothing before layer {layer!r} runs in bfloat16, as convolutions and matrix products do; choose a "
                "later layer, or leave precision= out"
            )
        if self._monitor.is_bypassed:
            raise LayerError(
                f"numbers in bfloat16 go around layer {layer!r}, to what comes after it; expected a layer that all of "
                "them go through with precision='bfloat16': choose another layer, or leave precision= out"
            )
        pairs = zip(float_tensors_of(output), float_tensors_of(exact), strict=True)
        deviation = max((_deviation(reduced, full) for reduced, full in pairs), default=0.0)
        if not deviation <= _MAX_DEVIATION:  # refuses NaN too
            raise ModelError(
                f"with precision='bfloat16' before layer {layer!r} the model's output differs by {percent(deviation)} "
                f"of its largest number; expected {percent(_MAX_DEVIATION)} at most: leave precision= out"
            )


class _BFloat16Monitor(TorchDispatchMode):
    """Detects whether operations before the layer return bfloat16 tensors, and operations after it read any."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.returned_bfloat16 = self.is_bypassed = self.is_in_head = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.is_in_head:
            self.is_bypassed |= _contains_bfloat16(tree_leaves((args, kwargs)))
        value = func(*args, **(kwargs or {}))
        self.returned_bfloat16 |= not self.is_in_head and _contains_bfloat16(tree_leaves(value))
        return value


def _contains_bfloat16(values: Iterable[Any]) -> bool:
    return any(isinstance(value, Tensor) and value.dtype == torch.bfloat16 for value in values)


def _deviation(reduced: Tensor, full: Tensor) -> float:
    """Return the largest difference between two outputs, as a share of the largest number in full precision."""
    if reduced.shape != full.shape or not full.numel():
        return 0.0 if reduced.shape == full.shape else torch.inf
    finite = torch.isfinite(full)
    if not torch.equal(finite, torch.isfinite(reduced)):
        return torch.inf
    difference, largest = (reduced - full).detach()[finite].abs(), full.detach()[finite].abs()
    return float(difference.max() / largest.max()) if bool(difference.any()) else 0.0
