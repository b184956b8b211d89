"""The boxes of the panel: each offers the options of one field of an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from shapleycam.errors import OptionError

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """One option of a box: its value in the address, its text, and whether it is chosen."""

    value: str
    text: str
    is_chosen: bool


@dataclass(frozen=True)
class Box:
    """A box of the form, with groups of options by heading; a heading may be empty."""

    name: str
    label: str
    term: str | None
    groups: dict[str, list[Option]]


def make_box(name: str, label: str, term: str | None, texts: Mapping[str, str], chosen: str, default: str) -> Box:
    """Return a box of options without headings; other arguments as for `make_grouped_box`."""
    return make_grouped_box(name, label, term, {"": texts}, chosen, default)


def make_grouped_box(
    name: str, label: str, term: str | None, groups: Mapping[str, Mapping[str, str]], chosen: str, default: str
) -> Box:
    """Return a box. The default option has an empty value, which addresses omit; an unknown value becomes an option.

    `groups` has the text of each value, by heading.
    """
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


def option_text(name: str, line: str) -> str:
    """Return the text of an option that has a name and a line about it."""
    return f"{name}: {line}" if line else name


def value_or_none(text: str, read: Callable[[str], T]) -> T | None:
    """Return the value of a text in an address; None if it is empty, or wrong: the answer then reports the error."""
    try:
        return read(text) if text else None
    except OptionError:
        return None
