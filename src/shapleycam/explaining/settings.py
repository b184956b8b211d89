"""The user's choices for one model, and the results of checks that are made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import nn

from shapleycam.game import Game
from shapleycam.layers import ImageKind
from shapleycam.models.layout import Layout
from shapleycam.models.network import Transform
from shapleycam.tracing.reduced_precision import Precision

_MOST_VERDICTS = 128
"""Verdicts in memory at most."""
Verdict: TypeAlias = Literal["ignores scale", "divides nothing"]
"""Properties of a head that are checked once."""


@dataclass(frozen=True)
class ExplainerSettings:
    """The model and how the user wants it explained; arguments as in `Explainer`."""

    model: nn.Module
    labels: tuple[str, ...] | None
    preprocess: Transform | None
    memory: int
    layout: str | Layout | None
    image_kind: ImageKind = None
    precision: Precision = "full"


@dataclass
class ExplainerMemory:
    """Results of checks of a model, so that each check is made once and each warning issued once.

    Functions are compared by identity, since they may not be hashable. The memory holds references to them, so that a
    new function cannot get the identity of a deleted one.
    """

    messages: set[str] = field(default_factory=set)
    """Warnings that were issued already."""
    _checked_rows: list[tuple[tuple[int, ...], Callable[..., Any]]] = field(default_factory=list)
    _verdicts: list[tuple[Verdict, str, Callable[..., Any], tuple[Any, ...], bool]] = field(default_factory=list)

    def of_other_weights(self) -> ExplainerMemory:
        """Return a memory for a model of the same architecture, without the results that depend on the weights."""
        return ExplainerMemory(self.messages, self._checked_rows)

    def has_checked_rows(self, shape: tuple[int, ...], select: Callable[..., Any]) -> bool:
        """Return whether outputs of this shape, taken by this selector, are known to have one row for each image."""
        return any(shape == known and select is selected for known, selected in self._checked_rows)

    def remember_rows(self, shape: tuple[int, ...], select: Callable[..., Any]) -> None:
        """Remember that outputs of this shape, taken by this selector, have one row for each image."""
        self._checked_rows.append((shape, select))

    def verdict(self, name: Verdict, game: Game) -> bool | None:
        """Return whether the head has this property for the game's layer, utility and removal; None if not known."""
        question = (name, game.layer, game.utility.function, game.removal.identity)
        for *known, verdict in self._verdicts:
            if all(a is b or (not callable(a) and a == b) for a, b in zip(known, question, strict=True)):
                return verdict
        return None

    def remember(self, name: Verdict, game: Game, *, verdict: bool) -> None:
        """Remember whether the head has this property for the game's layer, utility and removal."""
        if len(self._verdicts) >= _MOST_VERDICTS:
            self._verdicts.clear()
        self._verdicts.append((name, game.layer, game.utility.function, game.removal.identity, verdict))
