"""Warnings about a head that is looked at once: it ignores the activation's scale, or there is nothing to divide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis
from shapleycam.cams.method import Method
from shapleycam.cams.spreads import ELEMENTWISE_RELU
from shapleycam.errors import SaturatedDerivativeWarning, ShapleyCamError, is_ignored
from shapleycam.explaining.settings import ExplainerMemory, Verdict
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.values.saturation import first_order_sizes, is_saturated, may_be_saturated, warn_of_saturation
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

    Each but saturation is looked up once for each layer, utility and removal. For derivatives at the activation alone
    the head is run again only where their values sum to next to nothing, as where there is something to warn of.

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

    def warn_of_saturation(self, game: Game, rows: Collection[Method], explanations: Mapping[str, Explanation]) -> None:
        """Warn of images in which values of a derivative at the activation are next to nothing beside v(N).

        Values of zero are told as a blank map is. Where it may be so, the head is run again for each batch: what there
        is to divide is another in each image.
        """
        is_said = self.memory.verdict("ignores scale", game) or is_ignored(SaturatedDerivativeWarning)
        by_method = {} if is_said or not game.removal.is_fixed else _sizes_of_values(game, rows, explanations)
        is_recorded = any(row.basis.needs_replay for row in rows)
        suspected = {
            name: sizes
            for name, sizes in by_method.items()
            if sizes.any() and (is_recorded or may_be_saturated(game, sizes).any())
        }
        if not suspected:
            return
        try:
            judged = game if is_recorded else self.record(game)
            images = {name: is_saturated(judged, sizes) for name, sizes in suspected.items()}
        except ShapleyCamError:  # what comes after the layer cannot run again: nobody can say what there is to divide
            return
        names = [name for name, saturated in images.items() if saturated.any()]
        if names:
            warn_of_saturation(game, torch.stack([images[name] for name in names]).any(0), names)


def _sizes_of_values(
    game: Game, rows: Collection[Method], explanations: Mapping[str, Explanation]
) -> dict[str, Float[Tensor, " b"]]:
    """Return Σ_j |φ_j| (b,) of methods that divide the score by a derivative at the activation, by name.

    A method that keeps positive products alone may rightly have none: it counts as small where first order is, too.
    """
    sizes = {}
    for row in rows:
        explanation = explanations.get(row.name)
        if explanation is not None and row.in_units and row.basis.taylor_order is not None:
            prefix = 0 if explanation.prefix is None else explanation.prefix.abs()
            sizes[row.name] = explanation.values.abs().flatten(1).sum(1) + prefix
            if row.spread is ELEMENTWISE_RELU:
                sizes[row.name] = torch.maximum(sizes[row.name], first_order_sizes(game).to(sizes[row.name]))
    return sizes
