"""The state while one model is copied, and the interface for the rules that copy values of one type."""

from __future__ import annotations

import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from shapleycam.tracing.hooks import HookVisibility

IMMUTABLE = {
    *(type(None), bool, int, float, complex, str, bytes, range, slice, type(Ellipsis), type),
    *(torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format),
    *(types.ModuleType, types.CodeType),
}
"""Types whose values are shared with the user's model, because they are immutable."""


AttributeRule: TypeAlias = "Callable[[CopyState, nn.Module, Any], Any]"
"""How an attribute that every module has is copied: from the module and the attribute's value to its copy."""
AttributeRules: TypeAlias = "tuple[tuple[str, AttributeRule | None], ...]"
"""The attributes of a module that are copied, each with its own rule or None for that of its type."""


class CopyState(ABC):
    """The copies made so far, by the identity of their originals, so that references among the copies are right.

    The originals are kept alive as long as the state, so that no other object gets the identity of one of them.

    Attributes:
        visibility: whether the user's own hooks see the pass that runs; all hooks of the copy share it.
        precision: what floating-point parameters and buffers become; None widens half precision to float32.
        shared: the tensors that the copy has in common with the user's model, with a word for their kind.
        registered: the identities of all modules in the model's tree.
        parameter_storages: the storages of the user's parameters.
        storages: copied storages, by the address of the original's.
        global_variables: copied global variables of the user's files, by the identity of the original dict.
        class_state: what the forwards of the user's classes use of their class.
        attribute_rules: which attributes of modules are copied and how, by the names and types of all of them.
    """

    def __init__(self, precision: torch.dtype | None) -> None:
        self.visibility = HookVisibility()
        self.precision = precision
        self.shared: dict[int, tuple[str, Tensor]] = {}
        self.registered: set[int] = set()
        self.parameter_storages: set[int] = set()
        self.storages: dict[int, torch.UntypedStorage] = {}
        self.global_variables: dict[int, dict[str, Any]] = {}
        self.class_state: dict[type[nn.Module], dict[str, Any]] = {}
        self.attribute_rules: dict[Hashable, AttributeRules] = {}
        self._copies: dict[int, Any] = {}
        self._originals: list[Any] = []

    @abstractmethod
    def copy(self, value: Any) -> Any:
        """Return the private copy of a value; the value itself if it contains nothing that can be written into."""

    @abstractmethod
    def has_rule(self, kind: type) -> bool:
        """Return whether there is a rule for values of exactly this type."""

    def known_copy(self, value: Any) -> Any:
        """Return the copy of a value if it was copied before; otherwise None."""
        return self._copies.get(id(value))

    def remember(self, value: Any, copied: Any) -> Any:
        """Record the copy of a value, and return it."""
        self._copies[id(value)] = copied
        self._originals.append(value)
        return copied

    def keep_alive(self, value: Any) -> None:
        """Keep an original alive, because its identity or address is used as a key."""
        self._originals.append(value)
