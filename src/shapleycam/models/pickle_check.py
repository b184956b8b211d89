"""Checking a pickle opcode by opcode, without running anything, before torch reads it.

torch's own `weights_only=True` runs no code from the file, but it lets the file call some forty functions and classes
with any arguments: `torch.FloatTensor(10**9)` returns uninitialised memory, `_codecs.encode(text, "punycode")` takes
minutes for 60 KB, and hashing nested tuples may visit 2^40 elements. Therefore only the opcodes and calls that saved
tensors need are allowed here.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from typing import Any

from shapleycam.models.pickle_rules import (
    ITEM_SIZES,
    STORAGE,
    DamagedPickleError,
    Global,
    Node,
    ObjectInPickleError,
    check_call,
    check_nesting,
    checked_global,
)
from shapleycam.wording import on_one_line

_PROTOCOL = 2


@dataclass(frozen=True)
class CheckedPickle:
    """The root value of a pickle, and the size in bytes of each storage that it refers to, by key."""

    root: Any
    storages: dict[str, int]


def check_pickle(file: BufferedReader | BytesIO) -> CheckedPickle:
    """Read one pickle of torch.save up to its end, and return its content.

    Raises:
        ObjectInPickleError: the pickle contains objects other than plain tensors.
        DamagedPickleError: the pickle is incomplete, or torch.save does not write such a pickle.
    """
    return _Reader().read(file)


class _Reader:
    """The stack and memo of a pickle machine that builds `Node` objects instead of the pickled objects."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below_marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.nodes: list[Node] = []
        self.storages: dict[str, int] = {}

    def read(self, file: BufferedReader | BytesIO) -> CheckedPickle:
        try:
            for opcode, argument in _opcodes(file):
                _STEPS[opcode](self, argument)
            root = self.stack.pop()
        except (ObjectInPickleError, DamagedPickleError):
            raise
        except (IndexError, KeyError):
            raise DamagedPickleError("its opcodes do not fit together") from None
        except (ValueError, OverflowError) as error:
            raise DamagedPickleError(on_one_line(error)[:200]) from None
        check_nesting(self.nodes)
        return CheckedPickle(root, self.storages)

    def check_protocol(self, protocol: int) -> None:
        if protocol != _PROTOCOL:
            raise ObjectInPickleError(f"a pickle of protocol {protocol}, and torch.save writes {_PROTOCOL}")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_node(self, elements: list[Any], called: str = "") -> None:
        node = Node(elements, called)
        self.nodes.append(node)
        self.stack.append(node)

    def mark(self, _: Any) -> None:
        self.below_marks.append(self.stack)
        self.stack = []

    def get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def pop(self, count: int | None) -> list[Any]:
        """Remove and return the last `count` values of the stack; None means all values after the last mark."""
        if count is None:
            elements, self.stack = self.stack, self.below_marks.pop()
            return elements
        if len(self.stack) < count:
            raise IndexError
        elements = self.stack[-count:]
        del self.stack[-count:]
        return elements

    def extend(self, count: int | None) -> None:
        """Move the last values of the stack into the container below them."""
        elements = self.pop(count)
        self.container().elements.extend(elements)

    def container(self) -> Node:
        if not isinstance(self.stack[-1], Node):
            raise DamagedPickleError("something is put into what is no container")
        return self.stack[-1]

    def set_state(self, _: Any) -> None:
        """Accept a state for an OrderedDict (the metadata of a state dict); refuse it for anything else."""
        (state,) = self.pop(1)
        if self.container().called != "collections.OrderedDict":
            raise ObjectInPickleError("an object with a state")
        self.container().elements.append(state)

    def call(self, _: Any) -> None:
        function, arguments = self.pop(2)
        check_call(function, arguments)
        self.push_node([arguments], function)

    def refer_to_storage(self, _: Any) -> None:
        """Record the storage ("storage", type, key, device, number of elements); files from before 2020 append None."""
        (reference,) = self.pop(1)
        match reference.elements if isinstance(reference, Node) else []:
            case ["storage", Global() as kind, str(key), str(), int(count), *view] if view in ([], [None]):
                size = count * ITEM_SIZES[kind]
            case _:
                raise DamagedPickleError("a reference to something that is no storage")
        if self.storages.setdefault(key, size) != size or size < 0:
            raise DamagedPickleError(f"storage {key!r:.40} is of two sizes, or of a negative one")
        self.push_node([count], STORAGE)


_STEPS: dict[str, Callable[[_Reader, Any], None]] = {
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"), _Reader.push
    ),
    "NONE": lambda reader, _: reader.push(None),
    "NEWTRUE": lambda reader, _: reader.push(True),
    "NEWFALSE": lambda reader, _: reader.push(False),
    **dict.fromkeys(("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET"), lambda reader, _: reader.push_node([])),
    "TUPLE": lambda reader, _: reader.push_node(reader.pop(None)),
    "TUPLE1": lambda reader, _: reader.push_node(reader.pop(1)),
    "TUPLE2": lambda reader, _: reader.push_node(reader.pop(2)),
    "TUPLE3": lambda reader, _: reader.push_node(reader.pop(3)),
    "APPEND": lambda reader, _: reader.extend(1),
    "SETITEM": lambda reader, _: reader.extend(2),
    **dict.fromkeys(("APPENDS", "SETITEMS"), lambda reader, _: reader.extend(None)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Reader.get),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Reader.put),
    "GLOBAL": lambda reader, argument: reader.push(checked_global(argument)),
    "REDUCE": _Reader.call,
    "BUILD": _Reader.set_state,
    "BINPERSID": _Reader.refer_to_storage,
    "MARK": _Reader.mark,
    "PROTO": _Reader.check_protocol,
    "STOP": lambda _reader, _argument: None,
}
"""The action of each opcode that torch.save writes."""
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


def _opcodes(file: BufferedReader | BytesIO) -> Iterator[tuple[str, Any]]:
    """Yield the opcodes of a pickle with their arguments, up to its end; refuse an opcode that is not in `_STEPS`.

    `pickletools.genops` is not used, because it allocates the memory that any opcode's length field claims, and warns
    about names.
    """
    while code := file.read(1):
        opcode = _OPCODES.get(code)
        if opcode is None or opcode.name not in _STEPS:
            name = code if opcode is None else opcode.name
            raise ObjectInPickleError(f"the pickle opcode {name!s}, which torch.save does not write")
        if opcode.name == "GLOBAL":
            yield opcode.name, b".".join(file.readline().rstrip(b"\n") for _ in range(2)).decode("utf-8")
        else:
            yield opcode.name, opcode.arg.reader(file) if opcode.arg else None
        if opcode.name == "STOP":
            return
    raise DamagedPickleError("it ends before its last opcode")
