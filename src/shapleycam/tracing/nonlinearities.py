"""Record the inputs of a model's last softmaxes and sigmoids while it runs.

The input of the last one gives the exact logits. Probabilities alone do not: they have lost the log-sum-exp of the
softmax, they saturate, and they are rounded (docs/decisions.md, "What enters the last softmax or sigmoid is known again
by its memory").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shapleycam.tracing.memory_views import MemoryRegion, StridedView, has_storage
from shapleycam.tracing.node_names import Nonlinearity
from shapleycam.tracing.torch_internals import version_of

_NONLINEARITIES: dict[str, Nonlinearity] = {
    **dict.fromkeys(("softmax", "_softmax", "special_softmax"), "softmax"),
    **dict.fromkeys(("log_softmax", "_log_softmax", "special_log_softmax"), "log_softmax"),
    **dict.fromkeys(("sigmoid", "sigmoid_", "special_expit"), "sigmoid"),
    **dict.fromkeys(("log_sigmoid", "logsigmoid"), "log_sigmoid"),
}  # fmt: skip
_AFTER_EXP_OR_LOG: dict[tuple[str, Nonlinearity], Nonlinearity] = {
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
"""Functions that may copy numbers of their first argument to other memory. (Views share its memory.)"""
_MAX_CALLS = 8
"""How many calls are recorded. The model's last call is among them; calls inside the model are soon dropped."""


@dataclass(frozen=True)
class NonlinearityCall:
    """One call of a softmax or sigmoid.

    Attributes:
        kind: the function.
        dim: the dimension over which a softmax runs.
        input: the argument of the call.
        input_version: how often the input had been written to when the call was made.
        region: the memory of the result.
        precision: the largest machine epsilon among the dtypes of the input, the result and its copies.
        rearrange: applies to a tensor shaped as the input what was done to copy the result; None without copies.
    """

    kind: Nonlinearity
    dim: int
    input: Tensor
    input_version: int
    region: MemoryRegion
    precision: float
    rearrange: Callable[[Tensor], Tensor] | None = None

    @property
    def is_over_rows(self) -> bool:
        """Return whether the call is a softmax over the first of several dimensions."""
        return "softmax" in self.kind and self.input.dim() > 1 and self.dim == 0

    def logits(self, output: Tensor) -> Tensor:
        """Return the input of the call, rearranged in the way in which the result became `output`."""
        return self.arranged(self.input, StridedView.of(output))

    def log_odds(self, output: Tensor) -> Tensor:
        """Return log p / (1 - p) of each class of a softmax, rearranged as `logits` are."""
        return self.arranged(_log_odds_against_others(self.input, self.dim), StridedView.of(output))

    def arranged(self, source: Tensor, view: StridedView) -> Tensor:
        """Return a tensor shaped as the input, rearranged in the way in which the result became `view`."""
        return self.region.view.apply(source if self.rearrange is None else self.rearrange(source), view)


class NonlinearityRecorder(TorchFunctionMode):
    """Context that records the inputs of this thread's last few softmaxes and sigmoids.

    A result is recognised by its memory, so views need not be tracked; copies are tracked. A softmax over the last of
    four or more dimensions belongs to attention. It is not recorded, because that would keep its input alive.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[NonlinearityCall] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function; record it if it is a softmax or sigmoid, or copies the result of one."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").split(".")[0]
        if name in _NONLINEARITIES:
            return self._run_nonlinearity(name, func, args, kwargs)
        value = func(*args, **kwargs)
        if self._calls and args and has_storage(value) and has_storage(args[0]):
            if name in _COPIES:
                self._record_copy(func, args, kwargs, value)
            elif name in {"exp", "log"}:
                self._record_exp_or_log(name, args[0], value)
        return value

    def call_of(self, output: Any) -> NonlinearityCall | None:
        """Return the call that computed an output; None if no recorded call did, or its input was overwritten."""
        if not has_storage(output):
            return None
        for call in reversed(self._calls):
            if call.region.holds(output):
                return call if version_of(call.input) == call.input_version else None
        return None

    def _run_nonlinearity(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        argument = args[0] if args else kwargs.get("input", kwargs.get("self"))
        in_place = name == "sigmoid_" and isinstance(argument, torch.Tensor)
        original = argument.clone() if in_place else argument
        value = func(*args, **kwargs)
        if isinstance(original, torch.Tensor) and isinstance(value, torch.Tensor) and not value.is_inference():
            dim = _softmax_dim(args, kwargs, value) if "softmax" in name else 0
            is_attention = "softmax" in name and value.dim() > 3 and dim == value.dim() - 1
            if not is_attention and has_storage(value):
                precision = max(torch.finfo(tensor.dtype).eps for tensor in (original, value))
                kind, region = _NONLINEARITIES[name], MemoryRegion.of(value)
                self._record(NonlinearityCall(kind, dim, original, version_of(original), region, precision))
        return value

    def _record_copy(self, func: Any, args: Any, kwargs: Any, value: Tensor) -> None:
        call, is_cast = self.call_of(args[0]), func.__name__ in _CASTS
        if call is None or call.region.holds(value) or not value.is_floating_point():
            return
        view = StridedView.of(args[0])

        def rearrange(source: Tensor) -> Tensor:
            arranged = call.arranged(source, view)
            if is_cast:  # a cast rounds the probabilities; the logits keep their precision
                return arranged.to(value.device)
            copied: Tensor = func(arranged, *args[1:], **kwargs)
            return copied

        precision = max(call.precision, torch.finfo(value.dtype).eps)
        self._record(replace(call, region=MemoryRegion.of(value), precision=precision, rearrange=rearrange))

    def _record_exp_or_log(self, name: str, argument: Tensor, value: Tensor) -> None:
        call = self.call_of(argument)
        kind = None if call is None else _AFTER_EXP_OR_LOG.get((name, call.kind))
        if call is None or kind is None:
            return
        view = StridedView.of(argument)
        rearrange = lambda source: call.arranged(source, view)  # noqa: E731
        self._record(replace(call, kind=kind, region=MemoryRegion.of(value), rearrange=rearrange))

    def _record(self, call: NonlinearityCall) -> None:
        if call.region.view.is_dense:
            alive = [recorded for recorded in self._calls if not recorded.region.storage.expired()]
            self._calls = [*alive[1 - _MAX_CALLS :], call]


def _softmax_dim(args: Any, kwargs: Any, value: Tensor) -> int:
    """Return the dimension over which a softmax runs; without `dim` the one that PyTorch chooses."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if dim is None:
        dim = 0 if value.dim() in {0, 1, 3} else 1
    return int(dim) % max(1, value.dim())


def _log_odds_against_others(z: Tensor, dim: int) -> Tensor:
    """Return z_c - log Σ_{j≠c} exp z_j for each class c, without cancellation."""
    best = z.argmax(dim, keepdim=True)
    is_best = torch.zeros_like(z, dtype=torch.bool).scatter(dim, best, value=True)
    beside_best = z.masked_fill(is_best, -torch.inf).logsumexp(dim, keepdim=True)
    probability = z.softmax(dim).masked_fill(is_best, 0)  # at most a half
    others = z.logsumexp(dim, keepdim=True) + torch.log1p(-probability)
    return z - torch.where(is_best, beside_best, others)
