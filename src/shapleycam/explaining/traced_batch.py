"""One forward pass of a model at one layer, of which explanations and games of several utilities are had."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from shapleycam.cams.bases import Basis
from shapleycam.cams.method import Method
from shapleycam.cams.method_choice import choose_methods
from shapleycam.errors import OptionError, RemovalNotUsedWarning, warn
from shapleycam.explaining import warnings
from shapleycam.explaining.explain_game import explain_game
from shapleycam.explaining.image_regions import regions_of_images
from shapleycam.explaining.inputs import Batch, Target, resolve_targets
from shapleycam.explaining.readings import OutputReadings
from shapleycam.explaining.settings import ExplainerMemory, ExplainerSettings, Verdict
from shapleycam.explanations.comparison import Comparison
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.game.removal import Removal
from shapleycam.layers import channel_axis, layout_at
from shapleycam.smoothing import Smooth
from shapleycam.smoothing.eigen import smooth_rows
from shapleycam.smoothing.table import EIGEN
from shapleycam.tracing import Trace, trace
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.utilities import Utility
from shapleycam.utilities.checks import check_classes
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.scale import (
    cancels,
    divides_nothing,
    ignores_scale,
    warn_of_ignored_scale,
    warn_of_nothing_to_divide,
)


class TracedBatch:
    """A batch of images after one forward pass of the model, at one layer; `Explainer.trace` makes it.

    It holds the graph of what comes after the layer: keep one at a time where memory is short.

    Attributes:
        batch: the images.
        channels: the axis of the images that holds their channels.
        traced: the traced pass.

    Examples:
        >>> import torch, shapleycam
        >>> from torch import nn
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        >>> explainer = shapleycam.Explainer(model, layer="1")
        >>> batch = explainer.trace(torch.rand(2, 3, 8, 8), ["hirescam"])
        >>> utility = shapleycam.utilities.resolve_utility("logit")
        >>> batch.compare(["hirescam"], 0, utility, shapleycam.values.EstimatorOptions())["hirescam"].values.shape
        torch.Size([2, 6, 6])
    """

    def __init__(
        self,
        settings: ExplainerSettings,
        memory: ExplainerMemory,
        batch: Batch,
        layer: str,
        select: OutputSelector,
        removal: Removal,
        *,
        replay: bool,
        twice: bool,
    ) -> None:
        self.batch = batch
        self._settings, self._memory, self._select = settings, memory, select
        self.channels = channel_axis(settings.model, batch.images, settings.image_kind, batch.extra)
        self.traced = self._trace(layer, replay=replay, twice=twice)
        self._readings = OutputReadings(self.traced, batch, select, settings, memory)
        self._removal = removal.once()
        self._regions: dict[str, Regions] = {}

    @property
    def output(self) -> Any:
        """Return what the model returned, or what was chosen of it."""
        output = self.traced.output
        return output.detach() if isinstance(output, Tensor) else output

    def game(self, target: Target, utility: Utility, players: Regions = None) -> Game:
        """Return the game of each image; arguments and errors as in `Explainer.game`."""
        settings, traced = self._settings, self._readings.read_for(utility)
        utility.check_images(len(traced.images))
        scores = self._readings.scores(utility)
        classes = resolve_targets(target, utility, scores, settings.labels, traced.images)
        utility_of_images = utility.with_image_data(traced.output, classes, settings.labels)
        check_classes(scores, classes, settings.labels)
        layout = layout_at(
            settings.model,
            traced.layer,
            traced.activation,
            traced.images,
            settings.layout,
            self.channels,
            self.batch.extra,
        )
        return Game(
            traced,
            layout,
            utility_of_images,
            classes,
            self.regions(players),
            memory=settings.memory,
            removal=self._removal,
            image_channels=self.channels,
        )

    def regions(self, players: Regions) -> Regions:
        """Return players as a game takes them: labels of each pixel in place of a name, made once.

        Raises:
            OptionError: they do not fit the layer, the model or the images.
        """
        if not isinstance(players, str):
            return players
        if players not in self._regions:
            settings, traced = self._settings, self.traced
            self._regions[players] = regions_of_images(
                players,
                settings.model,
                traced.layer,
                traced.images,
                settings.preprocess,
                is_at_input=traced.is_at_input,
            )
        return self._regions[players]

    def compare(
        self,
        methods: Sequence[str],
        target: Target,
        utility: Utility,
        options: EstimatorOptions,
        *,
        curvature: bool = False,
    ) -> Comparison:
        """Explain one class by several methods; arguments and errors as in `Explainer.compare`."""
        comparison = self.explain_by(methods, target, utility, options, curvature=curvature)
        for explanation in comparison.values():
            warnings.warn_of_blank_maps(explanation)
        return comparison

    def explain_by(
        self,
        methods: Sequence[str],
        target: Target,
        utility: Utility,
        options: EstimatorOptions,
        *,
        curvature: bool = False,
        smooth: Smooth = (),
    ) -> Comparison:
        """Explain as `compare` does, without warnings of blank maps: these may be one of several that are averaged.

        Of the smoothings "eigen" is done here; the others need other images.
        """
        game = self.game(target, utility, options.players)
        choice = choose_methods(methods, game, options)
        if EIGEN.name in smooth:
            choice = replace(choice, rows=tuple(smooth_rows(choice.rows)))
        bases = {row.basis for row in choice.rows}
        self._warn_of_ignored_scale(game, bases)
        self._warn_of_nothing_to_divide(game, bases)
        self._warn_of_unused_removal(choice.rows, game.removal)
        explanations, refused = explain_game(
            game,
            choice,
            options,
            batch=self.batch,
            traced=self._readings.read("output"),
            channels=self.channels,
            curvature=curvature,
        )
        warnings.warn_of_left_out(choice.left_out | refused, self._memory.messages)
        form, remark = self._readings.form_and_remark(game.utility)
        labels, preprocess = self._settings.labels, self._settings.preprocess
        return Comparison(
            {
                name: replace(e, labels=labels, preprocess=preprocess, form=form, remark=remark)
                for name, e in explanations.items()
            }
        )

    def fix_question(self, target: Target, utility: Utility) -> tuple[Target, Utility]:
        """Return the target with the predicted class written out, and the utility with its data of these images.

        So the same question can be asked of other images in their place.
        """
        game = self.game(target, utility)
        scores = self._readings.scores(utility)
        is_predicted = target is None and scores is not None and len(scores) == len(game.target)
        return game.target if is_predicted else target, game.utility

    def expand_targets(self, targets: Sequence[Target] | int, utility: Utility) -> Sequence[Target]:
        """Return the targets themselves, or for a number as many of the likeliest classes.

        Raises:
            OptionError: a single name, or a number that means nothing.
        """
        if isinstance(targets, str):
            raise OptionError(f"targets={targets!r}; expected a list of targets, or how many of the likeliest")
        if not isinstance(targets, int):
            return targets
        scores = self._readings.scores(utility)
        if scores is None or targets < 1:
            raise OptionError(f"targets={targets}, utility {utility.name!r}; expected 1 or more, of what has classes")
        available = int(torch.isfinite(scores).sum(1).min())  # of a set of classes, its members
        return list(scores.detach().topk(min(targets, available)).indices.T)

    def _trace(self, layer: str, *, replay: bool, twice: bool) -> Trace:
        model, batch = self._settings.model, self.batch
        return trace(
            model,
            batch.images,
            layer,
            replay=replay,
            twice_differentiable=twice,
            select=self._select,
            extra=batch.extra,
            precision=self._settings.precision,
        )

    def _warn_of_ignored_scale(self, game: Game, bases: Collection[Basis]) -> None:
        """Warn where the head ignores the activation's scale, so that derivatives along it say little.

        It is looked up once for each layer, utility and removal. For derivatives at the activation alone the head is
        run again only where their values sum to next to nothing, as they do behind such a head.
        """
        derivatives = [basis for basis in bases if basis.takes_derivatives]
        if derivatives and self._has("ignores scale", ignores_scale, game, derivatives):
            warn_of_ignored_scale(game)

    def _warn_of_nothing_to_divide(self, game: Game, bases: Collection[Basis]) -> None:
        """Warn where a removal leaves nothing to divide; looked up as the scale is."""
        takes_part = [basis for basis in bases if basis.takes_derivatives or basis.needs_replay]
        is_removal = not game.removal.is_zero
        if is_removal and takes_part and self._has("divides nothing", divides_nothing, game, takes_part):
            warn_of_nothing_to_divide(game)

    def _has(self, name: Verdict, judge: Callable[[Game], bool], game: Game, bases: Collection[Basis]) -> bool | None:
        """Return what is known of the head, or what a look at it says; None where it need not be looked at."""
        is_recorded = any(basis.needs_replay for basis in bases)
        verdict = self._memory.verdict(name, game)
        if verdict is None and (is_recorded or cancels(game)):
            verdict = judge(game if is_recorded else self._recorded(game))
            self._memory.remember(name, game, verdict=verdict)
        return verdict

    def _recorded(self, game: Game) -> Game:
        """Return the same game, of a pass whose head can be run again."""
        recorded = self._trace(game.layer, replay=True, twice=False).read_as(game.utility.reads)
        return game.variant(recorded, game.utility)

    def _warn_of_unused_removal(self, rows: Iterable[Method], removal: Removal) -> None:
        """Warn once of methods whose formula has no removal."""
        names = [row.name for row in rows if not row.uses_removal]
        message = (
            f"removal {removal.name!r} is not used by {', '.join(names)}: a formula that does not divide the score has "
            "none, so the values are the same for every removal; choose a method in units of the utility"
        )
        if names and not removal.is_zero and message not in self._memory.messages:
            self._memory.messages.add(message)
            warn(RemovalNotUsedWarning, message)
