"""Warnings about a head that is looked at once: it ignores the activation's scale, or there is nothing to divide."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from shapleycam.cams.bases import Basis
from shapleycam.explaining.settings import ExplainerMemory, Verdict
from shapleycam.game import Game
from shapleycam.values.scale import (
    cancels,
    divides_nothing,
    ignores_scale,
    warn_of_ignored_scale,
    warn_of_nothing_to_divide,
)


@dataclass(frozen=True)
class HeadWarnings:
    """Warns of what makes values say little, in every image.

    Each is looked up once for each layer, utility and removal. For derivatives at the activation alone the head is run
    again only where their values sum to next to nothing, as they do where there is something to warn of.

    Attributes:
        memory: what is known of the model's heads.
        record: makes of a game the same game of a pass whose head can be run again.
    """

    memory: ExplainerMemory
    record: Callable[[Game], Game]

    def warn(self, game: Game, bases: Collection[Basis]) -> None:
        """Warn where derivatives along the activation say little, and where a removal leaves nothing to divide."""
        derivatives = [basis for basis in bases if basis.takes_derivatives]
        if derivatives and self._has("ignores scale", ignores_scale, game, derivatives):
            warn_of_ignored_scale(game)
        takes_part = [basis for basis in bases if basis.takes_derivatives or basis.needs_replay]
        is_removal = not game.removal.is_zero
        if is_removal and takes_part and self._has("divides nothing", divides_nothing, game, takes_part):
            warn_of_nothing_to_divide(game)

    def _has(self, name: Verdict, judge: Callable[[Game], bool], game: Game, bases: Collection[Basis]) -> bool | None:
        """Return what is known of the head, or what a look at it says; None where it need not be looked at."""
        is_recorded = any(basis.needs_replay for basis in bases)
        verdict = self.memory.verdict(name, game)
        if verdict is None and (is_recorded or cancels(game)):
            verdict = judge(game if is_recorded else self.record(game))
            self.memory.remember(name, game, verdict=verdict)
        return verdict
