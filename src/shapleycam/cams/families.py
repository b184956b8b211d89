"""The families of methods, in the order in which they are shown, with a one-line description of each."""

from __future__ import annotations

from shapleycam.cams.method import Method
from shapleycam.cams.table import METHODS

FAMILIES = {
    "first order": "one gradient: fast",
    "second order": "with pairs of places: fast, closer",
    "path": "gradients along a path: closer still",
    "Shapley values": "the values themselves: slow",
    "other values of the game": "alone, left out, over all coalitions, in groups",
    "channels as players": "channels by what they are worth",
    "factorisation": "what varies most, of no units",
    "noisy images": "gradients of noisy images: slower",
    "masked images": "many passes of the model: slow",
    "derivatives by the image": "at the image itself, of no units",
    "attention": "for vision transformers",
    "baseline": "random, to compare with",
}
"""The description of each family, by the `group` of its methods. A row that a user adds may have another group."""


def methods_by_family() -> dict[str, list[Method]]:
    """Return all rows of the table of methods by family; a family's rows are in the order of the table.

    Examples:
        >>> from shapleycam.cams.families import methods_by_family
        >>> [row.name for row in methods_by_family()["second order"]]
        ['shapleycam', 'shapleycam-h', 'shapleycam-e', 'shapleycam-x']
    """
    order = dict.fromkeys([*FAMILIES, *(row.group for row in METHODS.values())])
    return {family: rows for family in order if (rows := [row for row in METHODS.values() if row.group == family])}
