"""Rules for a pickle of tensors: the globals that it may name or call, and how deeply its values may be nested."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

_TENSORS = frozenset(f"torch._utils._rebuild_{what}" for what in ("tensor", "tensor_v2", "tensor_v3"))
_CALLED = _TENSORS | frozenset(
    {
        *("collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.complex", "_codecs.encode"),
        *("torch.Size", "torch.device"),
        "torch._utils._rebuild_parameter",
    }
)
"""Globals that a pickle may call: those that build tensors from storages, and plain values that files also contain."""
ITEM_SIZES = {
    **dict.fromkeys(("torch.DoubleStorage", "torch.LongStorage", "torch.ComplexFloatStorage"), 8),
    **dict.fromkeys(("torch.FloatStorage", "torch.IntStorage"), 4),
    **dict.fromkeys(("torch.HalfStorage", "torch.ShortStorage", "torch.BFloat16Storage"), 2),
    **dict.fromkeys(("torch.CharStorage", "torch.ByteStorage", "torch.BoolStorage", "torch.storage.UntypedStorage"), 1),
    "torch.ComplexDoubleStorage": 16,
}
"""Bytes per element of each storage type. A pickle may name these types and dtypes, but may not call them."""
_OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without numbers (of the device meta)",
    "torch._tensor._rebuild_from_type_v2": "a tensor of a subclass, or with attributes",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a subclass",
}
_CODECS = frozenset({"latin1", "latin-1", "ascii", "utf-8", "utf8"})
STORAGE = "storage"
"""`Node.called` for a storage, which no call creates."""
_MAX_DEPTH = 100
_MAX_ELEMENTS = 10_000_000
"""Limit for the elements of a value; elements of a shared part count each time that the part is reached."""


class ObjectInPickleError(ValueError):
    """The pickle contains something other than plain tensors, numbers, texts and containers; the message says what."""


class DamagedPickleError(ValueError):
    """The pickle is damaged, or was not written by torch.save."""


@dataclass(eq=False)
class Node:
    """A container, or the result of a call: `elements` are its elements or arguments, `called` the called global."""

    elements: list[Any] = field(default_factory=list)
    called: str = ""


class Global(str):
    """The name of a global in a pickle, "module.attribute"; it is never imported."""

    __slots__ = ()


def check_call(function: Any, arguments: Any) -> None:
    """Refuse a call that does not build a tensor or a plain value, or whose arguments would cost too much.

    Raises:
        ObjectInPickleError: the call builds something else.
        DamagedPickleError: a tensor extends beyond its storage.
    """
    if not isinstance(function, Global) or function not in _CALLED or not isinstance(arguments, Node):
        raise ObjectInPickleError(f"a call of {function if isinstance(function, Global) else 'what is no function'}")
    if function == "_codecs.encode" and arguments.elements[1:] and arguments.elements[1] not in _CODECS:
        raise ObjectInPickleError(f"a text in the encoding {arguments.elements[1]!r:.40}")
    if function in _TENSORS:
        _check_extent(arguments.elements)


def _check_extent(arguments: list[Any]) -> None:
    """Refuse a tensor that extends beyond its storage, because torch would enlarge the storage."""
    match arguments:
        case [
            Node(elements=[int(count)], called="storage"),
            int(offset),
            Node(elements=size),
            Node(elements=stride),
            *_,
        ]:
            counts = [*size, *stride, offset]
            if len(size) == len(stride) and all(isinstance(number, int) and number >= 0 for number in counts):
                last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
                if last < count or 0 in size:
                    return
    raise DamagedPickleError("a tensor that reaches beyond its storage")


def checked_global(argument: str) -> Global:
    """Return the name of a global after a check that a pickle may name it."""
    name = Global(argument.replace("__builtin__.", "builtins.", 1))  # protocol 2 uses Python 2's module name
    if name in _CALLED or name in ITEM_SIZES or _is_number_type(name):
        return name
    raise ObjectInPickleError(_OTHER_TENSORS.get(name, f"a {name:.80}"))


def _is_number_type(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    return module == "torch" and isinstance(vars(torch).get(attribute), torch.dtype)


def check_nesting(nodes: list[Node]) -> None:
    """Refuse values that contain themselves, are nested too deeply, or become huge when shared parts are expanded.

    Hashing or printing them would not end, or would overflow the C stack. The traversal is iterative for this reason.
    """
    measured: dict[Node, tuple[int, int]] = {}
    entered: set[Node] = set()
    for start in nodes:
        pending = [start]
        while pending:
            node = pending[-1]
            children = [element for element in node.elements if isinstance(element, Node)]
            unmeasured = [child for child in children if child not in measured]
            if node in measured or not unmeasured:
                size = 1 + len(node.elements) + sum(measured[child][0] for child in children)
                depth = 1 + max((measured[child][1] for child in children), default=0)
                if size > _MAX_ELEMENTS or depth > _MAX_DEPTH:
                    raise DamagedPickleError(f"values nested {depth} deep, of {size:,} elements")
                measured[node] = size, depth
                pending.pop()
            elif node in entered:
                raise DamagedPickleError("a value that contains itself")
            else:
                entered.add(node)
                pending.extend(unmeasured)
