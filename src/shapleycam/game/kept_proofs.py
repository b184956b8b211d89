"""Proofs of heads that are kept: a photograph whose pass has the same operations needs no proof of its own.

What a proof depends on is its key: the layer, the activation's form, the code of all modules, and the operations of the
traced pass with their shapes and settings. Heads that read anything but the activation, and models with a user's code,
are proven for each batch (docs/decisions.md, "The proof of a head is kept for library networks").
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from types import BuiltinFunctionType
from typing import Any

import torch
from torch import Tensor

from shapleycam.game.contents import Contents
from shapleycam.game.structure import Structure, prove_structure
from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace
from shapleycam.tracing.checks import check_result, mark_checked
from shapleycam.tracing.copying.state import IMMUTABLE
from shapleycam.tracing.graph import nodes
from shapleycam.tracing.library_code import library_code
from shapleycam.tracing.modules import modules_of

_PREFIX = "_saved_"
"""Of the attributes of autograd's nodes that hold what an operation saved for its backward."""
_saved_names: dict[type, tuple[str, ...]] = {}
"""The names of these attributes, by the class of a node."""


def proven_structure(trace: Trace, contents: Contents) -> Structure:
    """Return what the operations of a traced pass's head prove; an earlier batch's proof where that holds for this one.

    The operations are recorded anew, of the first image: see "The proof's graph is recorded anew" in docs/decisions.md.
    """
    if not isinstance(trace.output, Tensor):
        return Structure()
    key = proof_key(trace, contents.layout)
    known = None if key is None else check_result(trace.owner, key)
    if isinstance(known, Structure):
        return known

    def run_first_image(rows: Tensor) -> Any:
        samples = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        return trace.head_of_any_size(rows, samples)

    structure = prove_structure(run_first_image, contents.activation[:1], contents.layout, contents.empty[:1])
    if key is not None and may_be_kept(structure):
        mark_checked(trace.owner, key, structure)
    return structure


def proof_key(trace: Trace, layout: Layout) -> Hashable | None:
    """Return what the proof of a traced pass's head depends on; None where that is more than can be described."""
    code = library_code(modules_of(trace.owner)) if trace.reads_activation_alone else None
    if code is None or not isinstance(trace.output, Tensor):
        return None
    activation = trace.activation
    graph = _describe_graph(trace.output)
    if graph is None:
        return None
    form = (trace.layer, layout, activation.shape, activation.dtype, activation.device)
    return "structure", form, code, graph


def may_be_kept(structure: Structure) -> bool:
    """Return whether nothing is proven, or only what holds for any numbers in the network's weights."""
    return replace(structure, reads_mean=False, is_sum=False) == Structure()


def _describe_graph(output: Tensor) -> Hashable | None:
    """Return the operations of a graph: what each returned and saved, and those before it; None if not known."""
    numbers = {node: number for number, node in enumerate(nodes(output))}
    try:
        return tuple(
            (
                type(node),
                node.name(),
                tuple((numbers.get(operand), index) for operand, index in node.next_functions),
                tuple((tuple(metadata.shape), metadata.dtype) for metadata in node._input_metadata),  # noqa: SLF001
                *map(_describe, _saved(node)),
            )
            for node in numbers
        )
    except (TypeError, AttributeError, RuntimeError):  # another version of PyTorch frees or names these in another way
        return None


def _saved(node: Any) -> Iterator[Any]:
    """Yield what a node saved for its backward, and what the forward of a Python function set on it."""
    kind = type(node)
    if kind not in _saved_names:
        _saved_names[kind] = tuple(name for name in dir(kind) if name.startswith(_PREFIX))
    for name in _saved_names[kind]:
        yield getattr(node, name)
    for name, value in getattr(node, "__dict__", {}).items():
        yield name
        yield value
    yield from getattr(node, "saved_tensors", ())


def _describe(value: Any) -> Hashable:
    """Return a tensor's form in place of its numbers, containers of such, and other values as they are.

    Raises:
        TypeError: a value of another kind, of which it is not known what it says.
    """
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, (tuple, list)):
        return tuple(map(_describe, value))
    if isinstance(value, BuiltinFunctionType):
        return value.__qualname__
    if type(value) not in IMMUTABLE:
        raise TypeError(f"an operation saved a {type(value).__name__}")
    return value  # type: ignore[no-any-return]
