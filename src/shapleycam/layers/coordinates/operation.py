"""One call of an operator, with its arguments by name and the coordinates of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from shapleycam.layers.coordinates.representation import Coordinates, constant_coordinates, lost_coordinates
from shapleycam.layers.coordinates.storage_coordinates import StorageCoordinates
from shapleycam.tracing.torch_internals import schema_of


@dataclass(frozen=True)
class Operation:
    """One call of an operator; `name` has no namespace, and no underscore for an in-place operator."""

    function: Any
    name: str
    arguments: Mapping[str, Any]
    results: tuple[Tensor, ...]
    store: StorageCoordinates

    def __getitem__(self, argument: str) -> Any:
        """Return an argument by its name in the operator's schema."""
        return self.arguments[argument]

    @property
    def first_argument(self) -> str:
        """Return the name of the first argument."""
        return next(iter(self.arguments))

    def coordinates(self, argument: str) -> Coordinates | None:
        """Return the coordinates of an argument; None if it does not depend on the image."""
        value = self.arguments.get(argument)
        return self.store.get(value) if isinstance(value, Tensor) else None

    def coordinates_or_constant(self, tensor: Tensor) -> Coordinates:
        """Return the coordinates of a tensor; those of a constant if it does not depend on the image."""
        coordinates = self.store.get(tensor)
        if coordinates is None:
            return constant_coordinates(tensor.shape, self.store.axes, tensor.device)
        return coordinates

    def lost(self) -> list[Coordinates]:
        """Return lost coordinates for each result, for an operation without a rule."""
        return [lost_coordinates(result.shape, self.store.axes, result.device) for result in self.results]

    def operands(self) -> list[Coordinates]:
        """Return the coordinates of all operands that depend on the image."""
        tensors = [value for value in self.arguments.values() if isinstance(value, Tensor)]
        return [coordinates for tensor in tensors if (coordinates := self.store.get(tensor)) is not None]


def named_arguments(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names in the operator's schema, defaults included."""
    parameters = schema_of(function).arguments
    positional = {parameter.name: value for parameter, value in zip(parameters, args, strict=False)}
    defaults = {p.name: p.default_value for p in parameters if p.name not in positional and p.name not in kwargs}
    return {**positional, **kwargs, **defaults}
