"""Warnings about a head: it ignores the activation's scale, is saturated, or gives a grand value of zero."""

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
    """Warns of properties of the head that make values uninformative.

    Each property but saturation is checked once for each layer, utility and removal. If all methods take derivatives at
    the activation, the trace cannot replay the head. It is then traced again, but only if the first-order values sum to
    almost zero, since without that there is nothing to warn of.

    Attributes:
        memory: the results of earlier checks.
        record: a function that returns the same game with a trace whose head can run again.
    """

    memory: ExplainerMemory
    record: Callable[[Game], Game]

    def warn(self, game: Game, bases: Collection[Basis]) -> None:
        """Warn if derivatives along the activation are uninformative, or if the removal leaves v(N) = 0."""
        derivatives = [basis for basis in bases if basis.takes_derivatives]
        if derivatives and self._has("ignores scale", ignores_scale, game, derivatives):
            warn_of_ignored_scale(game)
        dividing = [basis for basis in bases if basis.takes_derivatives or basis.needs_replay]
        is_removal = not game.removal.is_zero
        if is_removal and dividing and self._has("divides nothing", divides_nothing, game, dividing):
            warn_of_nothing_to_divide(game)

    def _has(self, name: Verdict, check: Callable[[Game], bool], game: Game, bases: Collection[Basis]) -> bool | None:
        """Return whether the head has a property, from memory or by a check; None if no check is needed."""
        is_recorded = any(basis.needs_replay for basis in bases)
        verdict = self.memory.verdict(name, game)
        if verdict is None and (is_recorded or cancels(game)):
            verdict = check(game if is_recorded else self.record(game))
            self.memory.remember(name, game, verdict=verdict)
        return verdict

    def warn_of_saturation(self, game: Game, rows: Collection[Method], explanations: Mapping[str, Explanation]) -> None:
        """Warn of images whose values from a derivative at the activation are almost zero compared with v(N).

        Values that are exactly zero are reported as a blank map instead. v(N) differs between images, so the head is
        run again for each batch in which saturation is possible.
        """
        is_reported = self.memory.verdict("ignores scale", game) or is_ignored(SaturatedDerivativeWarning)
        by_method = {} if is_reported or not game.removal.is_fixed else _sizes_of_values(game, rows, explanations)
        is_recorded = any(row.basis.needs_replay for row in rows)
        suspected = {
            name: sizes
            for name, sizes in by_method.items()
            if sizes.any() and (is_recorded or may_be_saturated(game, sizes).any())
        }
        if not suspected:
            return
        try:
            replayable = game if is_recorded else self.record(game)
            images = {name: is_saturated(replayable, sizes) for name, sizes in suspected.items()}
        except ShapleyCamError:  # the head cannot run again, so v(N) is not known
            return
        names = [name for name, saturated in images.items() if saturated.any()]
        if names:
            warn_of_saturation(game, torch.stack([images[name] for name in names]).any(0), names)


def _sizes_of_values(
    game: Game, rows: Collection[Method], explanations: Mapping[str, Explanation]
) -> dict[str, Float[Tensor, " b"]]:
    """Return by name Σ_j |φ_j| (b,) for each method in units of the utility that is a Taylor estimate.

    Values that keep only positive products may rightly be all zero. For these methods the result is at least the size
    of the first-order values, so that they count as small only if first order is small too.
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
