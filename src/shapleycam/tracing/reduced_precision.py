"""Passes that run the layers before the explained one in bfloat16, which takes a third of the time on some CPUs.

The layer's activation is widened to float32, so that the head, the utility, values and derivatives are computed in
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

from shapleycam.errors import LayerError, ModelError, OptionError, nearest
from shapleycam.lru_cache import LRUCache
from shapleycam.precision import HALF
from shapleycam.tracing.nested import float_tensors_of
from shapleycam.tracing.weight_changes import WeightsMark
from shapleycam.wording import percent

Precision: TypeAlias = Literal["full", "bfloat16"]
"""The precision of the layers before the explained one: the network's own, or bfloat16."""
_DEVICES = ("cpu", "cuda")
_MOST_DEVIATION = 0.1
"""Maximum change of the output by bfloat16, relative to its largest number; usually the change is about 1%."""


_MOST_FORMS = 256
"""Maximum number of remembered forms of batches for each model."""
_compared: WeakKeyDictionary[nn.Module, LRUCache[Hashable, WeightsMark]] = WeakKeyDictionary()
"""The forms of batches that were compared, by the user's model, with the weights for which they were compared."""


def was_compared(owner: nn.Module, form: Hashable, weights: WeightsMark) -> bool:
    """Return whether a pass of this form was compared with one in full precision, with these weights."""
    known = _compared.setdefault(owner, LRUCache(_MOST_FORMS)).get(form)
    return known is not None and known.equals(weights)


def mark_compared(owner: nn.Module, form: Hashable, weights: WeightsMark) -> None:
    """Record that a pass of this form was compared with one in full precision, with these weights."""
    _compared.setdefault(owner, LRUCache(_MOST_FORMS)).put(form, weights)


def check_precision(precision: str) -> Precision:
    """Return the precision if it is a known name.

    Raises:
        OptionError: the name is unknown.
    """
    if precision not in get_args(Precision):
        raise OptionError(f"precision={precision!r}; {nearest(str(precision), get_args(Precision))}")
    return precision  # type: ignore[return-value]


def check_takes_bfloat16(model: nn.Module, images: Tensor) -> None:
    """Refuse bfloat16 for weights or images that are not in float32, or on a device without autocast.

    Raises:
        OptionError: the weights or images are not in float32, or the device has no autocast.
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
    """A pass in bfloat16 up to the layer: `running` is its context, and `begin_head` ends bfloat16 at the layer.

    A `watched` pass records the types of its operations' tensors, which `check` needs.
    """

    def __init__(self, device: torch.device, *, watched: bool = False) -> None:
        self._kind = device.type
        self._watch = _Watch() if watched else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the code inside in bfloat16, until the layer."""
        # torch.autocast cannot be used here: it is suspended inside a model, like the model's own autocast.
        before = torch.get_autocast_dtype(self._kind)
        torch.set_autocast_dtype(self._kind, torch.bfloat16)
        torch.set_autocast_enabled(self._kind, True)
        try:
            if self._watch is None:
                yield
            else:
                with self._watch:
                    yield
        finally:
            torch.set_autocast_enabled(self._kind, False)
            torch.set_autocast_dtype(self._kind, before)

    def begin_head(self, activation: Tensor) -> Tensor:
        """Return the layer's activation in float32, and run all later operations in full precision."""
        torch.set_autocast_enabled(self._kind, False)
        widened = activation.float() if activation.dtype in HALF else activation
        if self._watch is not None:
            self._watch.is_behind = True
        return widened

    def check(self, layer: str, output: Any, exact: Any) -> None:
        """Check a watched pass, and compare its output with `exact`, the output in full precision.

        Raises:
            LayerError: no operation before the layer runs in bfloat16, or the head reads bfloat16 tensors.
            ModelError: the output differs too much.
        """
        if self._watch is None:
            return
        if not self._watch.has_reduced:
            raise LayerError(
                f"nothing before layer {layer!r} runs in bfloat16, as convolutions and matrix products do; choose a "
                "later layer, or leave precision= out"
            )
        if self._watch.is_bypassed:
            raise LayerError(
                f"numbers in bfloat16 go around layer {layer!r}, to what comes after it; expected a layer that all of "
                "them go through with precision='bfloat16': choose another layer, or leave precision= out"
            )
        pairs = zip(float_tensors_of(output), float_tensors_of(exact), strict=True)
        deviation = max((_deviation(reduced, full) for reduced, full in pairs), default=0.0)
        if not deviation <= _MOST_DEVIATION:  # NaN counts as one
            raise ModelError(
                f"with precision='bfloat16' before layer {layer!r} the model's output differs by {percent(deviation)} "
                f"of its largest number; expected {percent(_MOST_DEVIATION)} at most: leave precision= out"
            )


class _Watch(TorchDispatchMode):
    """Context that records whether operations before the layer return bfloat16, and whether the head reads bfloat16."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.has_reduced = self.is_bypassed = self.is_behind = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.is_behind:
            self.is_bypassed |= _holds_reduced(tree_leaves((args, kwargs)))
        value = func(*args, **(kwargs or {}))
        self.has_reduced |= not self.is_behind and _holds_reduced(tree_leaves(value))
        return value


def _holds_reduced(values: Iterable[Any]) -> bool:
    return any(isinstance(value, Tensor) and value.dtype == torch.bfloat16 for value in values)


def _deviation(reduced: Tensor, full: Tensor) -> float:
    """Return the largest difference of two outputs, relative to the largest number."""
    if reduced.shape != full.shape or not full.numel():
        return 0.0 if reduced.shape == full.shape else torch.inf
    finite = torch.isfinite(full)
    if not torch.equal(finite, torch.isfinite(reduced)):
        return torch.inf
    difference, largest = (reduced - full).detach()[finite].abs(), full.detach()[finite].abs()
    return float(difference.max() / largest.max()) if bool(difference.any()) else 0.0
