"""Names of packages that are imported when they are first used.

What imports torch takes seconds and hundreds of megabytes; who wants the name of a metric needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def import_name(package: str, module_of: Mapping[str, str], name: str) -> Any:
    """Return an attribute of a package from the module that has it; the body of a package's `__getattr__`.

    Args:
        package: the package's `__name__`.
        module_of: the module of each name, relative to the package.
        name: of the attribute.

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
