"""The panel beside every answer: what the boxes of its form offer, and what they show now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from shapleycam.cams.families import FAMILIES, methods_by_family
from shapleycam.cams.table import canonical_method
from shapleycam.game.removal import NAMED
from shapleycam.layers import RULES
from shapleycam.names import canonical_name
from shapleycam.utilities import UTILITIES
from shapleycam.web.compared import family_in_addresses, method_sets
from shapleycam.web.question import Question
from shapleycam.web.resolved import (
    DEFAULT_CONTRAST,
    DEFAULT_LAYER,
    DEFAULT_METHOD,
    DEFAULT_METHODS,
    DEFAULT_REMOVAL,
    DEFAULT_UTILITY,
)

LAYERS = {
    "before-pool": "the last features that have places, before they are pooled",
    "last-conv": "the output of the last convolution",
}
"""The rules by which a layer is found, in one line each."""
REMOVALS = {
    "zero": "the paper's",
    "mean": "over the image's own positions",
    "blur": "the image under a Gaussian, at layer input",
}
"""The removals that have a name, in one line each."""
_SETS = {
    "paper": "the ten of the paper",
    "all": "what costs little, and sampling",
    "field": "every method: slow",
    **{family_in_addresses(family): line for family, line in FAMILIES.items()},
}
"""The sets of methods in one line each."""


@dataclass(frozen=True)
class Option:
    """One entry of a box: its value in the address, and its text."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class Box:
    """A box of the form: its groups of options by heading; a heading may be empty."""

    name: str
    label: str
    term: str | None
    groups: dict[str, list[Option]]


def panel_boxes(question: Question, models: Sequence[str], fields: Iterable[str]) -> list[Box]:
    """Return the boxes that choose among a few things, of those fields that a view reads."""
    boxes = {
        "model": _box("model", "Model", None, {"": {name: name for name in models}}, question.model, models[0]),
        "method": _method_box(question),
        "methods": _box(
            "methods",
            "Methods",
            "method",
            {"": {name: _named(name, _SETS.get(name, "")) for name in method_sets()}},
            canonical_name(question.methods, method_sets()) or canonical_method(question.methods) or question.methods,
            DEFAULT_METHODS,
        ),
        "utility": _utility_box(question),
        "removal": _box(
            "removal",
            "Removal: what stands in for absent places",
            "removal",
            {"": {name: _named(name, line) for name, line in REMOVALS.items()}},
            canonical_name(question.removal, NAMED) or question.removal,
            DEFAULT_REMOVAL,
        ),
    }
    return [boxes[field] for field in boxes if field in set(fields)]


def hidden_pairs(question: Question, fields: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names and values that a view's form carries along: the photograph, and what other views read.

    The players that a coalition leaves out are not carried: another layer has other places.
    """
    own = dict(parse_qsl(question.but(photo="").only(fields).address()))
    return [(name, value) for name, value in parse_qsl(question.address()) if name not in own and name != "absent"]


def upload_pairs(question: Question) -> list[tuple[str, str]]:
    """Return the names and values that stay as they are for another photograph."""
    return parse_qsl(question.but(photo="", target="", against="", absent="").address())


def layer_options() -> list[tuple[str, str]]:
    """Return the rules by which the page can find a layer, each with its line."""
    return [("" if rule == DEFAULT_LAYER else rule, _named(rule, LAYERS[rule])) for rule in RULES]


def _method_box(question: Question) -> Box:
    groups = {
        _named(family, FAMILIES[family]): {row.name: _named(row.name, row.description) for row in rows}
        for family, rows in methods_by_family().items()
    }
    return _box(
        "method", "Method", "method", groups, canonical_method(question.method) or question.method, DEFAULT_METHOD
    )


def _utility_box(question: Question) -> Box:
    texts = {name: _named(name, row.summary) for name, row in UTILITIES.items()}
    default = DEFAULT_CONTRAST if question.against else DEFAULT_UTILITY
    chosen = canonical_name(question.utility, UTILITIES) or question.utility
    return _box("utility", "Utility: the score that is explained", "utility", {"": texts}, chosen, default)


def _box(name: str, label: str, term: str | None, groups: dict[str, dict[str, str]], chosen: str, default: str) -> Box:
    """Return a box; the default has an empty value, which addresses leave out, and what is unknown is an entry too."""
    known = {value for texts in groups.values() for value in texts}
    options = {
        heading: [
            Option("" if value == default else value, text, value == (chosen or default))
            for value, text in texts.items()
        ]
        for heading, texts in groups.items()
    }
    if chosen and chosen not in known:
        options = {"not known here": [Option(chosen, chosen, is_chosen=True)], **options}
    return Box(name, label, term, options)


def _named(name: str, line: str) -> str:
    return f"{name}: {line}" if line else name
