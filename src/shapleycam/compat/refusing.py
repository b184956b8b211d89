"""Stand-ins for other packages' classes that this package lacks: they can be imported, but not instantiated.

Scripts often import many classes at once and use one of them, so that importing must not fail.
"""

from __future__ import annotations

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
