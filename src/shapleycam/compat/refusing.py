"""Refusing what other packages have and this one lacks: classes, and the methods that their subclasses may define.

A class that is missing can be imported, but not instantiated: scripts often import many classes and use one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from shapleycam.errors import OptionError


@cache
def refusing_class(package: str, name: str, reason: str) -> type:
    """Return a class of this name that cannot be instantiated; `reason` says what it does, and what to use instead.

    Examples:
        >>> from shapleycam.compat.refusing import refusing_class
        >>> refusing_class("torch-cam", "LeGrad", "reads attentions; use another").__doc__
        'Not here: it reads attentions; use another.'
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise OptionError(f"{name} of {package} is not in shapleycam: it {reason}")

    return type(name, (), {"__init__": refuse, "__module__": __name__, "__doc__": f"Not here: it {reason}."})


def refuse_overridden(kind: type, names: Iterable[str], who: str, package: str) -> None:
    """Refuse a subclass that defines a method which is never called; `who` says by whom, with "do" or "does".

    Raises:
        OptionError: it defines one.
    """
    overridden = [name for name in names if name in vars(kind)]
    if overridden:
        raise OptionError(
            f"{kind.__name__} defines {', '.join(overridden)}, which {who} not call; "
            f"keep {package} for it, or write a method as docs/notebooks/your_own_method.md shows"
        )
