"""Track the coordinates of the image through every operation of a forward pass.

The result does not depend on the weights, so it is the same for trained and untrained networks (docs/decisions.md,
"Layouts are proven by coordinates, not inferred from shapes").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from shapleycam.layers.coordinates.channel_axis import ChannelAxis
from shapleycam.layers.coordinates.movement import (
    COPIES,
    INDICES,
    MOVES,
    copy_rule,
    depends_on_content,
    fold_rule,
    move_rule,
    unfold_rule,
)
from shapleycam.layers.coordinates.operation import Operation, named_arguments
from shapleycam.layers.coordinates.pointwise import (
    ELEMENTWISE,
    REDUCTIONS,
    SHAPE_PRESERVING,
    distance_rule,
    elementwise_rule,
    embedding_rule,
    glu_rule,
    reduction_rule,
    shape_preserving_rule,
)
from shapleycam.layers.coordinates.products import (
    ATTENTION,
    PRODUCTS,
    RECURRENT_LAYERS,
    attention_rule,
    product_rule,
    recurrent_rule,
)
from shapleycam.layers.coordinates.representation import Coordinates
from shapleycam.layers.coordinates.storage_coordinates import StorageCoordinates, storage_key
from shapleycam.layers.coordinates.windows import (
    ADAPTIVE_POOLINGS,
    CONVOLUTIONS,
    POOLINGS,
    adaptive_pooling_rule,
    convolution_rule,
    pooling_rule,
    resampling_rule,
)
from shapleycam.tracing.elementwise import is_marked_elementwise
from shapleycam.tracing.torch_internals import schema_of

_Rule: TypeAlias = "Callable[[Operation], Coordinates | Sequence[Coordinates] | None]"
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(MOVES, move_rule),
    **dict.fromkeys(COPIES, copy_rule),
    "im2col": unfold_rule,
    "col2im": fold_rule,
    **dict.fromkeys(ELEMENTWISE, elementwise_rule),
    **dict.fromkeys(SHAPE_PRESERVING, shape_preserving_rule),
    **dict.fromkeys(REDUCTIONS, reduction_rule),
    "glu": glu_rule,
    "embedding": embedding_rule,
    **dict.fromkeys(("_cdist_forward", "_euclidean_dist"), distance_rule),
    **dict.fromkeys(PRODUCTS, product_rule),
    **dict.fromkeys(ATTENTION, attention_rule),
    **dict.fromkeys(RECURRENT_LAYERS, recurrent_rule),
    **dict.fromkeys(CONVOLUTIONS | {"deform_conv2d"}, convolution_rule),
    **dict.fromkeys(POOLINGS, pooling_rule),
    **dict.fromkeys(ADAPTIVE_POOLINGS, adaptive_pooling_rule),
}
_CONSTANTS = {
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_ones"),
    *("new_empty", "new_full", "new_empty_strided", "bernoulli", "zero", "fill", "uniform", "normal", "sym_size"),
    *("is_nonzero", "_local_scalar_dense", "equal", "item", "randint_like", "rand", "randn"),
}
"""Operations that do not read the numbers of their operands, or do not return a tensor."""

_RESTRIDING = {
    *("as_strided", "transpose", "t", "squeeze", "unsqueeze", "swapaxes", "swapdims", "detach", "requires_grad"),
}
"""In-place operations that change the view of a storage, but not its contents."""


class CoordinateTracker(TorchDispatchMode):
    """Context that records the coordinates of every tensor that is computed from `image`.

    Coordinates are along the image's height and width; for a volume or a video, along the two axes before them too.

    Attributes:
        lost: the operations without a rule for coordinates, in running order.
        reads_content: whether code has read numbers that depend on the image, so that it may run other operations for
            another image.
        reads_other: whether it has read other numbers (weights, further inputs of the model), or moved elements to
            places that a tensor gives.
        channels: the axis of the image that the first weight sums over.

    Examples:
        >>> import torch
        >>> from shapleycam.layers.coordinates import CoordinateTracker
        >>> image = torch.rand(1, 3, 4, 6)
        >>> tracker = CoordinateTracker(image)
        >>> with tracker:
        ...     pooled = torch.nn.functional.avg_pool2d(image, 2)
        >>> rows, columns, spread = tracker.coordinates(pooled)[:, 0, 0]
        >>> columns[0]
        tensor([0.5000, 2.5000, 4.5000])
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        tracked = range(1 if image.dim() > 4 else 2, image.dim())  # axis 1 of (b, c, h, w) is the channels
        self._store = StorageCoordinates(len(tracked))
        self.lost: list[str] = []
        self.reads_content, self.reads_other = False, False
        self.channels = ChannelAxis(image.dim())
        grid = torch.zeros(len(tracked) + 1, *image.shape, dtype=torch.float32, device=image.device)
        for row, axis in enumerate(tracked):
            side = image.shape[axis]
            grid[row] += torch.arange(side, device=image.device).reshape(-1, *[1] * (image.dim() - axis - 1))
        self._store.put(image, grid)

    def coordinates(self, tensor: Tensor) -> Coordinates | None:
        """Return the coordinates of a tensor, (axes + 1, *its shape); None if it does not depend on the image."""
        return self._store.get(tensor)

    def knows(self, operand: Any) -> bool:
        """Return whether an operand is a tensor that depends on the image."""
        return isinstance(operand, Tensor) and self._store.knows(operand)

    def paused(self) -> AbstractContextManager[Any]:
        """Return a context in which operations are not tracked."""
        return _disable_current_modes()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and compute the coordinates of its results."""
        kwargs = kwargs or {}
        value = func(*args, **kwargs)
        operands = [tensor for tensor in _tensors((args, kwargs)) if self.knows(tensor)]
        if torch.Tag.data_dependent_output in func.tags:  # `item()`, which `if` and `int` call too
            self.reads_content |= bool(operands)
            self.reads_other |= not operands
        if not operands:
            return value
        results = tuple(_tensors(value))
        # A view shares the storage of its base, and so its coordinates. Only writes and new tensors are tracked.
        if schema_of(func).is_mutable or not all(_is_view(result, operands) for result in results):
            self._track(func, args, kwargs, results)
        return value

    def _track(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], results: tuple[Tensor, ...]) -> None:
        schema = schema_of(func)
        name = schema.name.split("::")[-1]
        name = name.removesuffix("_") if schema.is_mutable else name
        if name in _RESTRIDING:
            return
        if name in _CONSTANTS:
            coordinates: Sequence[Coordinates | None] = [None] * len(results)
        else:
            operation = Operation(func, name, named_arguments(func, args, kwargs), results, self._store)
            self.channels.watch(operation)
            self._note_choice(operation)
            coordinates = self._coordinates_of_results(operation)
        for result, result_coordinates in zip(results, coordinates, strict=True):
            self._store.put(result, result_coordinates)

    def _note_choice(self, operation: Operation) -> None:
        """Record whether the numbers in a tensor decide where elements go, or how many there are."""
        is_by_tensor = any(operation.arguments.get(name) is not None for name in INDICES)
        self.reads_other |= is_by_tensor
        if torch.Tag.dynamic_output_shape in operation.function.tags:
            self.reads_content |= depends_on_content(operation) or not is_by_tensor

    def _coordinates_of_results(self, operation: Operation) -> Sequence[Coordinates | None]:
        """Return the coordinates of an operation's results, by its rule.

        The coordinates of all results but the first (statistics, indices) are lost, unless the rule returns them.
        """
        rule, lost = _rule_for(operation), operation.lost()
        if rule is None:
            self.lost.append(operation.name)
            return lost
        try:
            coordinates = rule(operation)
        except (RuntimeError, TypeError, ValueError, KeyError, IndexError, AttributeError):  # unknown call
            self.lost.append(operation.name)
            return lost
        if coordinates is None:  # the operand that the rule reads is a constant; so the result is, if it is a copy
            return [None] * len(lost) if rule is copy_rule else lost
        if isinstance(coordinates, Tensor):
            if operation.name in REDUCTIONS:
                return [coordinates] * len(lost)
            return [coordinates, *lost[1:]]
        return coordinates


def _is_view(result: Tensor, operands: Sequence[Tensor]) -> bool:
    return any(storage_key(operand) == storage_key(result) for operand in operands)


def _rule_for(operation: Operation) -> _Rule | None:
    if operation.name in _RULES:
        return _RULES[operation.name]
    if operation.name.lstrip("_").startswith("upsample_"):
        return resampling_rule
    return elementwise_rule if is_marked_elementwise(operation.function) else None


def _tensors(value: Any) -> list[Tensor]:
    """Return the tensors in the arguments or results of an operation."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for entry in value.values() for tensor in _tensors(entry)]
    if isinstance(value, (list, tuple)):
        return [tensor for entry in value for tensor in _tensors(entry)]
    return []
