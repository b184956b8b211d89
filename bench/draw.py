"""Choices from a seed, each written down, so that a drawn network can be drawn again and described."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

_Option = TypeVar("_Option")


class Draw:
    """`choices` are those made so far, as "what: chosen"."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # nothing here is secret
        self.choices: list[str] = []

    def of(self, choice: str, options: Iterable[_Option]) -> _Option:
        """Choose one of the options, all equally likely."""
        chosen = self._random.choice(list(options))
        self.choices.append(f"{choice}: {chosen}")
        return chosen

    def chance(self, choice: str, share: float) -> bool:
        """Whether something is there, as it is in `share` of the draws; written down where it is."""
        happens = self._random.random() < share
        if happens:
            self.choices.append(choice)
        return happens

    def index(self, count: int) -> int:
        """A number below `count`, not written down."""
        return self._random.randrange(count)
