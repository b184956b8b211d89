"""Lazy attributes of packages: a module is imported when one of its names is first used.

Importing torch takes seconds and hundreds of megabytes, which a user who only reads a table of names does not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def import_name(package: str, module_of: Mapping[str, str], name: str) -> Any:
    """Return an attribute of a package from the module that defines it, for use in the package's `__getattr__`.

    Args:
        package: the package's `__name__`.
        module_of: the module of each name, relative to the package.
        name: the attribute's name.

    Raises:
        AttributeError: the package has no such name.

    Examples:
        >>> from shapleycam.lazy_names import import_name
        >>> import_name("collections", {"Mapping": "abc"}, "Mapping")
        <class 'collections.abc.Mapping'>
    """
    if name not in module_of:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(f"{package}.{module_of[name]}"), name)
