"""Watching a model from a test: explanations run private copies of it, with copies of all that its forward uses."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Give a list that grows by the first input of each pass through a module or a copy of it, replays included.

    The module gets another class meanwhile, which writes into a class of its own: of all that code holds on to, only
    classes themselves are not copied.
    """
    kind, inputs = type(module), []
    watched, record = _watched(kind)
    record.add = inputs.append
    module.__class__ = watched
    try:
        yield inputs
    finally:
        module.__class__ = kind


@functools.cache
def _watched(kind: type[nn.Module]) -> tuple[type[nn.Module], type]:
    """Return a class of modules like `kind` whose inputs are added to a class of its own, and that class.

    It is one for each kind: what a model has proven of its code holds as long as that code is the same.
    """

    class Record:
        add = staticmethod(lambda _: None)

    class Watched(kind):
        def forward(self, x: Tensor, *args: object, **kwargs: object) -> object:
            Record.add(x.detach().clone())
            return super().forward(x, *args, **kwargs)

    Watched.__name__, Watched.__qualname__, Watched.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Watched, Record
