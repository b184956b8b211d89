"""Names of PyTorch that are private, because there is no public one: those that several modules read are only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


def children_of(module: nn.Module) -> dict[str, nn.Module | None]:
    """Return a module's own submodules by name; a user's class may have replaced the method `children`."""
    return module._modules


def parameters_of(module: nn.Module) -> Mapping[str, nn.Parameter | None]:
    """Return a module's own parameters by name, without those of its submodules."""
    return module._parameters


def weights_of(module: nn.Module) -> list[Tensor | None]:
    """Return a module's own parameters and buffers."""
    return [*module._parameters.values(), *module._buffers.values()]


def version_of(tensor: Tensor) -> int:
    """Return how often a tensor was written to in place: autograd's version counter, which its views share."""
    return tensor._version


def storage_address(tensor: Tensor) -> int:
    """Return a number that identifies the memory of a tensor until it is freed, even if it has no bytes."""
    return int(tensor.untyped_storage()._cdata)


def schema_of(operator: Any) -> Any:
    """Return an operator's schema: the names and defaults of its arguments, and which of them it writes to."""
    return operator._schema


def results_of(node: Any) -> Sequence[Any]:
    """Return the shape and type of each result of the operation of a node of autograd's graph."""
    results: Sequence[Any] = node._input_metadata
    return results


def sequence_number(node: Any) -> int:
    """Return the number of a node of autograd's graph in the order in which a thread made its nodes."""
    return int(node._sequence_nr())


def saved(node: Any, name: str) -> Any:
    """Return what a node of autograd's graph saved for its backward pass under a name."""
    return getattr(node, f"_saved_{name}")


def signed_dim(dim: int) -> int:
    """Return a dimension that a node saved as a signed integer: autograd saves a negative one d as 2^64 + d."""
    return dim - 2**64 if dim >= 2**63 else dim
