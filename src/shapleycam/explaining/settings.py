"""What an explainer knows of its model: the user's choices, and results of checks that are made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from shapleycam.game.removal import Removal
from shapleycam.layers import ImageKind
from shapleycam.models.layout import Layout
from shapleycam.models.network import Transform

_MOST_REMEMBERED = 64
"""Of how many utilities it is remembered whether the head ignores scale."""


@dataclass(frozen=True)
class ExplainerSettings:
    """The model and how the user wants it explained; arguments as in `Explainer`."""

    model: nn.Module
    labels: tuple[str, ...] | None
    preprocess: Transform | None
    memory: int
    layout: str | Layout | None
    image_kind: ImageKind = None


@dataclass
class ExplainerMemory:
    """Results of checks of a model, so that each check is made once and each warning issued once.

    Functions are compared by identity, and held, so that another function cannot take the place of one that is gone;
    they need not be hashable.
    """

    messages: set[str] = field(default_factory=set)
    """Warnings about the model's output that were issued."""
    _checked_rows: list[tuple[tuple[int, ...], Callable[..., Any]]] = field(default_factory=list)
    _scale: list[tuple[str, Callable[..., Any], tuple[Any, ...], bool]] = field(default_factory=list)

    def of_other_weights(self) -> ExplainerMemory:
        """Return the memory for a model of the same architecture, without what depends on the weights."""
        return ExplainerMemory(self.messages, self._checked_rows)

    def has_checked_rows(self, shape: tuple[int, ...], select: Callable[..., Any]) -> bool:
        """Return whether outputs of this shape, selected so, are known to have one row for each image."""
        return any(shape == known and select is selected for known, selected in self._checked_rows)

    def remember_rows(self, shape: tuple[int, ...], select: Callable[..., Any]) -> None:
        """Remember that outputs of this shape, selected so, have one row for each image."""
        self._checked_rows.append((shape, select))

    def ignores_scale(self, layer: str, function: Callable[..., Any], removal: Removal) -> bool | None:
        """Return whether the head at a layer ignores scale under a utility's function; None if that is not known."""
        for known, utility, identity, verdict in self._scale:
            if known == layer and utility is function and identity == removal.identity:
                return verdict
        return None

    def remember_scale(
        self, layer: str, function: Callable[..., Any], removal: Removal, *, ignores_scale: bool
    ) -> None:
        """Remember whether the head at a layer ignores scale under a utility's function."""
        if len(self._scale) >= _MOST_REMEMBERED:
            self._scale.clear()
        self._scale.append((layer, function, removal.identity, ignores_scale))
