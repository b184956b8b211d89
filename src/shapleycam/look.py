"""One forward pass of a model at one layer, and what may be asked of it: explanations, games, classes, utilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from shapleycam import advice
from shapleycam.cams.compute import Effort
from shapleycam.cams.table import METHODS, Derivative, expand
from shapleycam.comparison import Comparison
from shapleycam.errors import OptionError
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.inputs import Batch, Target, targets_of
from shapleycam.layers import Solid, channel_axis, layout_at
from shapleycam.models.layout import Layout
from shapleycam.models.network import Transform
from shapleycam.questions import explained
from shapleycam.trace import Trace, trace
from shapleycam.trace.trace import Select
from shapleycam.utilities import Function, Utility
from shapleycam.values.scale import about_scale, cancels, ignores_scale

_REPLAYED: frozenset[Derivative] = frozenset({"path", "sampled", "exact"})
"""What runs the head again, at other activations than the image's own."""
_REMEMBERED = 64
"""Of how many utilities it is remembered whether the head ignores scale."""


@dataclass(frozen=True)
class Guest:
    """A model as its explainer was told to take it; `ignores_scale` is what was learnt, by layer and utility."""

    model: nn.Module
    labels: tuple[str, ...] | None
    preprocess: Transform | None
    memory: int
    layout: str | Layout | None
    solid: Solid = None
    ignores_scale: dict[tuple[str, int], tuple[bool, Function]] = field(default_factory=dict)


class Look:
    """A batch of images seen by a model once, at one layer; see `Explainer.look`.

    `batch` are the images, `channels` is the axis of their channels, `traced` what the pass left. It holds the graph of
    what comes after the layer.
    """

    def __init__(
        self,
        guest: Guest,
        batch: Batch,
        layer: str,
        select: Select,
        methods: Sequence[str],
        *,
        replay: bool,
        twice: bool,
    ) -> None:
        needed = {METHODS[name].derivative for name in expand(methods)} if methods else set()
        self.batch = batch
        self._guest, self._select = guest, select
        self.channels = channel_axis(guest.model, batch.images, guest.solid)
        self.traced = self._trace(layer, replay=replay or bool(needed & _REPLAYED), twice=twice or "second" in needed)

    @property
    def output(self) -> Any:
        """What the model returned, or what was chosen of it."""
        output = self.traced.output
        return output.detach() if isinstance(output, Tensor) else output

    def game(self, target: Target, utility: Utility, players: Regions = None) -> Game:
        """The game of each image; arguments and errors as in `Explainer.game`."""
        guest, traced = self._guest, self.traced
        utility.check_images(len(traced.images))
        classes = targets_of(target, utility, traced.output, guest.labels)
        settled = utility.settled(traced.output, classes, guest.labels)
        layout = layout_at(guest.model, traced.layer, traced.activation, traced.images, guest.layout, self.channels)
        return Game(traced, layout, settled, classes, players, guest.memory)

    def compare(
        self,
        methods: Sequence[str],
        target: Target,
        utility: Utility,
        effort: Effort,
        players: Regions = None,
        *,
        curvature: bool = False,
    ) -> Comparison:
        """Explanations of one class by several methods; arguments and errors as in `Explainer.compare`."""
        game = self.game(target, utility, players)
        rows = [METHODS[name] for name in expand(methods, game.n_players)]
        self._advise_on_scale(game, {row.derivative for row in rows})
        found = explained(game, self.traced, rows, effort, self.batch.sources, wanted=curvature, channels=self.channels)
        named = Comparison(
            {
                name: replace(e, labels=self._guest.labels, preprocess=self._guest.preprocess)
                for name, e in found.items()
            }
        )
        for explanation in named.values():
            advice.about_blank(explanation)
        return named

    def each(self, targets: Sequence[Target] | int, utility: Utility) -> Sequence[Target]:
        """The targets themselves, or as many of the likeliest classes.

        Raises:
            OptionError: a single name, or a number that means nothing.
        """
        if isinstance(targets, str):
            raise OptionError(f"targets={targets!r}; expected a list of targets, or how many of the likeliest")
        if not isinstance(targets, int):
            return targets
        scores = utility.scores(self.traced.output, self._guest.labels)
        if scores is None or targets < 1:
            raise OptionError(f"targets={targets}, utility {utility.name!r}; expected 1 or more, of what has classes")
        able = int(torch.isfinite(scores).sum(1).min())  # of a set of classes, its members
        return list(scores.detach().topk(min(targets, able)).indices.T)

    def _trace(self, layer: str, *, replay: bool, twice: bool) -> Trace:
        model, images = self._guest.model, self.batch.images
        return trace(model, images, layer, replay=replay, twice_differentiable=twice, select=self._select)

    def _advise_on_scale(self, game: Game, needed: set[Derivative]) -> None:
        """Look once a utility whether the head ignores scale; for derivatives at A only where they look like it."""
        if not needed & {"first", "second", "path"}:
            return
        learnt, utility = self._guest.ignores_scale, game.utility
        key = (self.traced.layer, id(utility.function))
        if len(learnt) > _REMEMBERED:
            learnt.clear()
        if key not in learnt and ("path" in needed or cancels(game)):
            if "path" not in needed:
                again = self._trace(self.traced.layer, replay=True, twice=False)
                game = Game(again, game.layout, utility, game.target)
            learnt[key] = (ignores_scale(game), utility.function)
        if learnt.get(key, (False,))[0]:
            about_scale(self.traced.layer, utility.name)
