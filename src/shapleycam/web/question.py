"""The question of the page: a photograph, a model, a layer, a utility and a class; and its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from shapleycam.errors import ImageError, ModelError, OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explaining.photographs import prepare_photograph, stack_photographs
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.game import Game
from shapleycam.models.labels import class_index, short_label
from shapleycam.utilities import Utility, contrast, resolve_utility
from shapleycam.web.photographs import Photograph
from shapleycam.web.shelf import Loaded, Shelf

_NUMBERED = re.compile(r"\s*(\d+)(?::.*)?", re.DOTALL)


def numbered(labels: tuple[str, ...] | None) -> list[str]:
    """The classes as the page lists them."""
    return [f"{index}: {short_label(label)}" for index, label in enumerate(labels or ())]


@dataclass(frozen=True)
class Question:
    """`target` and `against` are as a person wrote them: a number, a label, an entry of `numbered`, or nothing."""

    shelf: Shelf
    photograph: Photograph | None
    model: str
    layer: str
    utility_name: str
    target_text: str | None
    against_text: str | None

    @cached_property
    def loaded(self) -> Loaded:
        """The model that is asked."""
        return self.shelf.model(self.model)

    @cached_property
    def explainer(self) -> Explainer:
        """It, at the layer."""
        return self.loaded.explainer(self.layer.strip() or "before-pool")

    @cached_property
    def photo(self) -> Photograph:
        """The photograph.

        Raises:
            ImageError: there is none.
        """
        if self.photograph is None:
            raise ImageError("There is no photograph yet: drop one on the left, or take an example")
        return self.photograph

    @cached_property
    def batch(self) -> Batch:
        """The photograph as the network takes it."""
        transform = self.explainer.preprocess
        if transform is None:
            raise ModelError(f"model {self.model!r} does not say how it wants photographs; the operator must")
        photograph = prepare_photograph(self.photo.image(), transform, self.photo.name)
        return stack_photographs([photograph], self.explainer.model)

    @cached_property
    def target(self) -> Target:
        """The class that is explained; None for the predicted one."""
        return self._class(self.target_text)

    @cached_property
    def utility(self) -> Utility:
        """What is explained of it."""
        against = self._class(self.against_text)
        if against is None:
            return resolve_utility(self.utility_name)
        return contrast(against, self.utility_name)

    def trace(self, *methods: str) -> TracedBatch:
        """One forward pass, after which methods can be asked for and games played."""
        return self.explainer.trace(self.batch, list(methods), self.utility, replay=True)

    def game(self, traced_batch: TracedBatch) -> Game:
        """The game of the question."""
        return traced_batch.game(self.target, self.utility)

    def regions(self, traced_batch: TracedBatch, side: int) -> tuple[int, int] | None:
        """So many regions down and across that there are at most `side` of them; None where each cell is its own.

        Raises:
            OptionError: the layer's grid is not that of an image.
        """
        grid = self.game(traced_batch).layout.grid
        if len(grid) != 2:
            raise OptionError(
                f"the layer has a grid of {len(grid)} dimensions; the page plays on images, of 2: choose another"
            )
        return None if max(grid) <= side else (min(grid[0], side), min(grid[1], side))

    @property
    def key(self) -> tuple[str | None, ...]:
        """What identifies it, for its model."""
        return (self.photo.key, self.layer, self.utility_name, self.target_text, self.against_text)

    def _class(self, text: str | None) -> int | None:
        if text is None or not text.strip():
            return None
        labels = self.explainer.labels
        number = _NUMBERED.fullmatch(text)
        chosen = number[1] if number and len(number[1]) < 10 else text
        return class_index(chosen, labels, len(labels) if labels else 10**9)
