"""Follows the places of the image through every operation of a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from shapleycam.layers.coordinates.arguments import Operation, named
from shapleycam.layers.coordinates.channels import ChannelAxis
from shapleycam.layers.coordinates.ledger import Ledger, key_of
from shapleycam.layers.coordinates.movement import MOVES, copied, folded, moved, unfolded
from shapleycam.layers.coordinates.places import Places
from shapleycam.layers.coordinates.pointwise import (
    ELEMENTWISE,
    KEEPING,
    REDUCTIONS,
    compared,
    elementwise,
    gated,
    kept,
    looked_up,
    reduced,
)
from shapleycam.layers.coordinates.products import ATTENTION, PRODUCTS, RECURRENT, attended, multiplied, recurrent
from shapleycam.layers.coordinates.windows import (
    ADAPTIVE,
    CONVOLUTIONS,
    POOLINGS,
    convolved,
    pooled,
    pooled_to_size,
    resampled,
)

_Rule: TypeAlias = "Callable[[Operation], Places | Sequence[Places] | None]"
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(MOVES, moved),
    **dict.fromkeys(("clone", "_to_copy", "copy", "contiguous", "lift_fresh_copy", "alias_copy", "to_dtype"), copied),
    "im2col": unfolded,
    "col2im": folded,
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(KEEPING, kept),
    **dict.fromkeys(REDUCTIONS, reduced),
    "glu": gated,
    "embedding": looked_up,
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), compared),
    **dict.fromkeys(PRODUCTS, multiplied),
    **dict.fromkeys(ATTENTION, attended),
    **dict.fromkeys(RECURRENT, recurrent),
    **dict.fromkeys(CONVOLUTIONS | {"deform_conv2d"}, convolved),
    **dict.fromkeys(POOLINGS, pooled),
    **dict.fromkeys(ADAPTIVE, pooled_to_size),
}
_CONSTANTS = {
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_ones"),
    *("new_empty", "new_full", "new_empty_strided", "bernoulli", "zero", "fill", "uniform", "normal", "sym_size"),
    *("is_nonzero", "_local_scalar_dense", "equal", "item", "randint_like", "rand", "randn"),
}
"""What does not read the numbers of its operands, or returns none."""

_RESTRIDING = {
    *("as_strided", "transpose", "t", "squeeze", "unsqueeze", "swapaxes", "swapdims", "detach", "requires_grad"),
}
"""Of the in-place operations those that change how a storage is seen, and nothing in it."""


class Tracker(TorchDispatchMode):
    """Within it the places of every tensor that is computed from `image` are known; see `places`.

    Places have a coordinate for the height and the width of an image; of a volume or a video for both axes before them
    too. `lost` names the operations whose effect on places is not known, in the order in which they ran; `channels`
    tells which axis of the image a weight sums over first.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        followed = range(1 if image.dim() > 4 else 2, image.dim())  # of plain images the first axis is the channels
        self._ledger = Ledger(len(followed))
        self.lost: list[str] = []
        self.channels = ChannelAxis(image.dim())
        grid = torch.zeros(len(followed) + 1, *image.shape, device=image.device)
        for row, axis in enumerate(followed):
            side = image.shape[axis]
            grid[row] += torch.arange(side, device=image.device).reshape(-1, *[1] * (image.dim() - axis - 1))
        self._ledger.put(image, grid)

    def places(self, tensor: Tensor) -> Places | None:
        """Return the places of a tensor (axes + 1, *its shape); None if it does not depend on the image."""
        return self._ledger.get(tensor)

    def paused(self) -> AbstractContextManager[Any]:
        """Return a context in which operations are not followed."""
        return _disable_current_modes()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and work out where its results lie."""
        kwargs = kwargs or {}
        value = func(*args, **kwargs)
        tensors = [tensor for tensor in _tensors((args, kwargs)) if self._ledger.knows(tensor)]
        if not tensors:
            return value
        results = tuple(_tensors(value))
        if func._schema.is_mutable or not all(self._is_view(result, tensors) for result in results):  # noqa: SLF001
            self._follow(func, args, kwargs, results)
        return value

    def _is_view(self, result: Tensor, tensors: Sequence[Tensor]) -> bool:
        return any(key_of(tensor) == key_of(result) for tensor in tensors)

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], results: tuple[Tensor, ...]) -> None:
        name = func._schema.name.split("::")[-1]  # noqa: SLF001
        name = name.removesuffix("_") if func._schema.is_mutable else name  # noqa: SLF001
        if name in _RESTRIDING:
            return
        if name in _CONSTANTS:
            places: Sequence[Places | None] = [None] * len(results)
        else:
            operation = Operation(func, name, named(func, args, kwargs), results, self._ledger)
            self.channels.watch(operation)
            places = self._found(operation)
        for result, its_places in zip(results, places, strict=True):
            self._ledger.put(result, its_places)

    def _found(self, operation: Operation) -> Sequence[Places | None]:
        """By the operation's rule; results beside the first (statistics, indices) are not places, unless it says so."""
        rule, lost = _rule(operation), operation.lost()
        if rule is None:
            self.lost.append(operation.name)
            return lost
        try:
            places = rule(operation)
        except (RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError):  # a form we do not know
            self.lost.append(operation.name)
            return lost
        if places is None:  # the operand that it goes by is a constant: known of a copy, of nothing else
            return [None] * len(lost) if rule is copied else lost
        if isinstance(places, Tensor):
            if operation.name in REDUCTIONS:
                return [places] * len(lost)
            return [places, *lost[1:]]
        return places


def _rule(operation: Operation) -> _Rule | None:
    if operation.name in _RULES:
        return _RULES[operation.name]
    if operation.name.lstrip("_").startswith("upsample_"):
        return resampled
    return elementwise if torch.Tag.pointwise in operation.function.tags else None


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for part in value.values() for tensor in _tensors(part)]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in _tensors(part)]
    return []
