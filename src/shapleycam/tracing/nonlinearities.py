"""What entered a model's last softmax or sigmoid, remembered while the model runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeGuard

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from shapleycam.tracing.nested import version_of

Nonlinearity: TypeAlias = Literal["softmax", "log_softmax", "sigmoid", "log_sigmoid"]

_ACTIVATIONS: dict[str, Nonlinearity] = {
    **dict.fromkeys(("softmax", "_softmax", "special_softmax"), "softmax"),
    **dict.fromkeys(("log_softmax", "_log_softmax", "special_log_softmax"), "log_softmax"),
    **dict.fromkeys(("sigmoid", "sigmoid_", "special_expit"), "sigmoid"),
    **dict.fromkeys(("log_sigmoid", "logsigmoid"), "log_sigmoid"),
}  # fmt: skip
_OF_RESULT: dict[tuple[str, Nonlinearity], Nonlinearity] = {
    ("exp", "log_softmax"): "softmax",
    ("exp", "log_sigmoid"): "sigmoid",
    ("log", "softmax"): "log_softmax",
    ("log", "sigmoid"): "log_sigmoid",
}
_CASTS = {"to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda"}
_COPIES = {
    *("clone", "contiguous", *_CASTS),
    *("reshape", "flatten", "__getitem__", "index_select", "gather", "take_along_dim", "flip"),
}
"""What may return other memory, with numbers of its first argument and nothing else (views share its memory)."""
_MOST = 8
"""How many calls are remembered: the last one of a model is among them, and attention's are soon forgotten."""


@dataclass(frozen=True)
class _Geometry:
    """Which places of a piece of memory a tensor shows."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: Tensor) -> _Geometry:
        """That of a tensor."""
        return cls(tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()))

    @property
    def is_dense(self) -> bool:
        """Whether it is a whole piece of memory, in some order of the dimensions."""
        expected = 1
        for stride, size in sorted(zip(self.stride, self.size, strict=True)):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return expected > 0

    def view(self, source: Tensor, like: _Geometry) -> Tensor:
        """Of `source`, which has this size, the entries that `like` shows of this memory."""
        if like == self:
            return source
        order = sorted(range(len(self.size)), key=lambda dim: (-self.stride[dim], -self.size[dim]))
        laid_out = source.permute(order).contiguous()
        return laid_out.as_strided(like.size, like.stride, laid_out.storage_offset() + like.offset - self.offset)


@dataclass(frozen=True)
class _Place:
    """Where the numbers of a tensor lie in memory, and how often that had been written to."""

    storage: StorageWeakRef
    geometry: _Geometry
    version: int

    @classmethod
    def of(cls, tensor: Tensor) -> _Place:
        """That of a tensor, which is not kept alive by it."""
        return cls(StorageWeakRef(tensor.untyped_storage()), _Geometry.of(tensor), version_of(tensor))

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor is a view of this memory, which nobody has written to meanwhile."""
        same = not self.storage.expired() and self.storage.cdata == StorageWeakRef(tensor.untyped_storage()).cdata
        return same and version_of(tensor) == self.version


@dataclass(frozen=True)
class NonlinearityCall:
    """One call of an activation: its `kind`, what entered it, and how the model's output was made of what it returned.

    `dim` is the dimension that a softmax ran over; `precision` that of the coarsest numbers on the way to the output,
    relative to them.
    """

    kind: Nonlinearity
    dim: int
    entered: Tensor
    version: int
    place: _Place
    precision: float
    copied: Callable[[Tensor], Tensor] | None = None

    @property
    def is_over_rows(self) -> bool:
        """Whether it is a softmax over the first of several dimensions."""
        return "softmax" in self.kind and self.entered.dim() > 1 and self.dim == 0

    def logits(self, output: Tensor) -> Tensor:
        """What entered the activation, arranged as `output` arranges what it returned."""
        return self.arranged(self.entered, _Geometry.of(output))

    def log_odds(self, output: Tensor) -> Tensor:
        """Of a softmax, log p / (1 - p) of each class against all others together, arranged as `output`."""
        return self.arranged(_against_others(self.entered, self.dim), _Geometry.of(output))

    def arranged(self, source: Tensor, form: _Geometry) -> Tensor:
        """Numbers in the form of what entered, arranged as a view of what it returned is."""
        return self.place.geometry.view(source if self.copied is None else self.copied(source), form)


class NonlinearityRecorder(TorchFunctionMode):
    """Inside, in this thread, remembers the inputs of the last few softmaxes and sigmoids.

    A result is known again by its memory, so that views need not be followed; copies are. Softmaxes over the last of
    four dimensions are attention's, and are not kept alive.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: list[NonlinearityCall] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, and remember it where it is such a one."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").split(".")[0]
        if name in _ACTIVATIONS:
            return self._activated(name, func, args, kwargs)
        value = func(*args, **kwargs)
        if self._last and args and _has_memory(value) and _has_memory(args[0]):
            if name in _COPIES:
                self._copied(func, args, kwargs, value)
            elif name in {"exp", "log"}:
                self._of_result(name, args[0], value)
        return value

    def of(self, output: Any) -> NonlinearityCall | None:
        """The call that an output is the result of; None for another output, or where the input was overwritten."""
        if not _has_memory(output):
            return None
        for final in reversed(self._last):
            if final.place.holds(output):
                return final if version_of(final.entered) == final.version else None
        return None

    def _activated(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        given = args[0] if args else kwargs.get("input", kwargs.get("self"))
        entered = given
        if name == "sigmoid_" and isinstance(given, torch.Tensor):
            entered = given.clone()
        value = func(*args, **kwargs)
        if isinstance(entered, torch.Tensor) and isinstance(value, torch.Tensor) and not value.is_inference():
            dim = _dim_of(args, kwargs, value) if "softmax" in name else 0
            attention = "softmax" in name and value.dim() > 3 and dim == value.dim() - 1
            if not attention and _has_memory(value):
                precision = max(torch.finfo(number.dtype).eps for number in (entered, value))
                place = _Place.of(value)
                self._remember(
                    NonlinearityCall(_ACTIVATIONS[name], dim, entered, version_of(entered), place, precision)
                )
        return value

    def _copied(self, func: Any, args: Any, kwargs: Any, value: Tensor) -> None:
        before, is_cast = self.of(args[0]), func.__name__ in _CASTS
        if before is None or before.place.holds(value) or not value.is_floating_point():
            return
        form = _Geometry.of(args[0])

        def copied(source: Tensor) -> Tensor:
            arranged = before.arranged(source, form)
            if is_cast:  # probabilities were made coarser, which their logits need not be
                return arranged.to(value.device)
            copy: Tensor = func(arranged, *args[1:], **kwargs)
            return copy

        precision = max(before.precision, torch.finfo(value.dtype).eps)
        self._remember(replace(before, place=_Place.of(value), precision=precision, copied=copied))

    def _of_result(self, name: str, given: Tensor, value: Tensor) -> None:
        before = self.of(given)
        kind = None if before is None else _OF_RESULT.get((name, before.kind))
        if before is None or kind is None:
            return
        form = _Geometry.of(given)
        copied = lambda source: before.arranged(source, form)  # noqa: E731
        self._remember(replace(before, kind=kind, place=_Place.of(value), copied=copied))

    def _remember(self, final: NonlinearityCall) -> None:
        if final.place.geometry.is_dense:
            alive = [one for one in self._last if not one.place.storage.expired()]
            self._last = [*alive[1 - _MOST :], final]


def _has_memory(value: Any) -> TypeGuard[Tensor]:
    """Whether it is a tensor whose numbers lie in memory of its own; inside torch.vmap they do not, nor sparse ones."""
    try:
        return isinstance(value, torch.Tensor) and value.untyped_storage() is not None
    except (RuntimeError, NotImplementedError):
        return False


def _dim_of(args: Any, kwargs: Any, value: Tensor) -> int:
    """The dimension that a softmax runs over, also where PyTorch chooses it."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if dim is None:
        dim = 0 if value.dim() in {0, 1, 3} else 1
    return int(dim) % max(1, value.dim())


def _against_others(z: Tensor, dim: int) -> Tensor:
    """z_c - log Σ_{j≠c} exp z_j of each class c, without a difference of numbers that are nearly equal."""
    best = z.argmax(dim, keepdim=True)
    is_best = torch.zeros_like(z, dtype=torch.bool).scatter(dim, best, value=True)
    beside_best = z.masked_fill(is_best, -torch.inf).logsumexp(dim, keepdim=True)
    share = z.softmax(dim).masked_fill(is_best, 0)  # at most a half
    others = z.logsumexp(dim, keepdim=True) + torch.log1p(-share)
    return z - torch.where(is_best, beside_best, others)
