"""What a rule sees of an operation: its arguments by name, and the places of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from shapleycam.layers.coordinates.ledger import Ledger
from shapleycam.layers.coordinates.places import Places, no_places


@dataclass(frozen=True)
class Operation:
    """One call of an operator: `name` without its namespace and the underscore of the in-place kind."""

    function: Any
    name: str
    arguments: Mapping[str, Any]
    results: tuple[Tensor, ...]
    ledger: Ledger

    def __getitem__(self, argument: str) -> Any:
        """An argument by its name in the operator's schema."""
        return self.arguments[argument]

    @property
    def first(self) -> str:
        """The name of the first argument."""
        return next(iter(self.arguments))

    def places(self, argument: str) -> Places | None:
        """Return the places of an argument; None if it does not depend on the image."""
        value = self.arguments.get(argument)
        return self.ledger.get(value) if isinstance(value, Tensor) else None

    def places_or_none(self, tensor: Tensor) -> Places:
        """Return the places of a tensor, those of a constant where it does not depend on the image."""
        places = self.ledger.get(tensor)
        return no_places(tensor.shape, self.ledger.axes, tensor.device) if places is None else places

    def lost(self) -> list[Places]:
        """Return places for each result of an operation whose effect on them is not known."""
        return [no_places(result.shape, self.ledger.axes, result.device, lost=True) for result in self.results]

    def operands(self) -> list[Places]:
        """Return the places of all operands that depend on the image."""
        tensors = [value for value in self.arguments.values() if isinstance(value, Tensor)]
        return [places for tensor in tensors if (places := self.ledger.get(tensor)) is not None]


def named(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by their names in the operator's schema, defaults included."""
    parameters = function._schema.arguments  # noqa: SLF001
    given = {parameter.name: value for parameter, value in zip(parameters, args, strict=False)}
    defaults = {p.name: p.default_value for p in parameters if p.name not in given and p.name not in kwargs}
    return {**given, **kwargs, **defaults}
