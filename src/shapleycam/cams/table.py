"""The table of methods: its rows by name, and their sets."""

from __future__ import annotations

from collections.abc import Sequence

from shapleycam.cams.method import Method
from shapleycam.cams.missing_methods import MISSING_METHODS
from shapleycam.cams.rows import ROWS
from shapleycam.errors import OptionError
from shapleycam.names import canonical_name, nearest

METHODS = {method.name: method for method in ROWS}
"""All methods by name."""

DEFAULT_METHOD = "pathcam-h"
"""The default method (docs/decisions.md, "The default method is the path, elementwise")."""

_ALIASES = {
    "gradcamplusplus": "gradcam++",
    "gradcampp": "gradcam++",
    "gradcamelementwise": "gradcam-e",
    "smoothgradcamplusplus": "smoothgradcam++",
    "smoothgradcampp": "smoothgradcam++",
    "guidedbackpropagation": "guidedbackprop",
    "fullgradient": "fullgrad",
    "owenvalues": "owen",
}


def methods() -> tuple[Method, ...]:
    """Return all rows of the table.

    Examples:
        >>> import shapleycam
        >>> sum(row.in_paper for row in shapleycam.methods())
        10
    """
    return tuple(METHODS.values())


def canonical_method(name: object) -> str | None:
    """Return the canonical name of a method for any spelling of it; None if there is no such method."""
    return canonical_name(name, METHODS, _ALIASES)


def method_of(name: str) -> Method:
    """Return the method of this name; case, hyphens, underscores and spaces are ignored.

    Raises:
        OptionError: an unknown name.

    Examples:
        >>> from shapleycam.cams import method_of
        >>> method_of("Grad-CAM").name
        'gradcam'
    """
    table_name = canonical_method(name)
    if table_name is not None:
        return METHODS[table_name]
    missing = canonical_name(name, MISSING_METHODS)
    if missing is not None:
        remedy = MISSING_METHODS[missing] or f"expected one of {', '.join(METHODS)} (shapleycam methods lists them)"
        raise OptionError(f"method {name!r} is not among the methods here; {remedy}")
    if not isinstance(name, str):
        raise OptionError(f"a method is a {type(name).__name__}; expected a name, as 'gradcam' (a row's `name`)")
    raise OptionError(f"method {name!r} is unknown; {nearest(str(name), METHODS)} (shapleycam methods lists them)")


def expand_methods(names: Sequence[str], players: int | None = None) -> list[str]:
    """Return the canonical names of methods, each once, in the order given; sets are replaced by their methods.

    The sets are `paper`, `all` and `field`. Before the model is known, `players` leaves out of `all` and `field` the
    methods that take too long with this number of players (at a layer of 512 channels), and those that some models
    refuse. With None for `players` the sets are complete.

    Raises:
        OptionError: an unknown name, or no names.
    """
    if not names:
        raise OptionError("no methods were given; expected at least one (shapleycam methods lists them)")
    rows = METHODS.values()
    allowed = [row for row in rows if players is None or (row.is_affordable(players) and not row.basis.is_conditional)]
    sets = {
        "paper": [row.name for row in rows if row.in_paper],
        **{name: [row.name for row in allowed if name in row.sets] for name in ("all", "field")},
    }
    without_sets = [name for entry in names for name in sets.get(canonical_name(entry, sets) or "", [entry])]
    return list(dict.fromkeys(method_of(name).name for name in without_sets))
