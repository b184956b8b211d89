"""One forward pass of a model at one layer, which explanations and games of several utilities share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from shapleycam.cams.method_choice import choose_methods
from shapleycam.errors import OptionError
from shapleycam.explaining import warnings
from shapleycam.explaining.explain_game import explain_game
from shapleycam.explaining.head_warnings import HeadWarnings
from shapleycam.explaining.image_regions import regions_of_images
from shapleycam.explaining.inputs import Batch, Target, resolve_targets
from shapleycam.explaining.readings import OutputReadings
from shapleycam.explaining.settings import ExplainerMemory, ExplainerSettings
from shapleycam.explanations.comparison import Comparison
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.game.removal import Removal
from shapleycam.layers import channel_axis, layout_at
from shapleycam.models.labels import check_label_count
from shapleycam.smoothing import Smooth
from shapleycam.smoothing.eigen import smooth_rows
from shapleycam.smoothing.table import EIGEN
from shapleycam.tracing import Trace, trace
from shapleycam.tracing.output_reading import OutputSelector
from shapleycam.utilities import Utility
from shapleycam.utilities.checks import check_classes
from shapleycam.utilities.row_check import check_rows_apart
from shapleycam.values.options import EstimatorOptions


class TracedBatch:
    """A batch of images after one forward pass of the model, traced at one layer; `Explainer.trace` makes it.

    It holds the autograd graph of the head. If memory is short, keep one traced batch at a time.

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

    def __init__(  # noqa: PLR0913  # all that decides what the pass records
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
        needs_derivatives: bool = True,
    ) -> None:
        self.batch = batch
        self._settings, self._memory, self._select = settings, memory, select
        self.channels = channel_axis(settings.model, batch.images, settings.image_kind, batch.extra)
        self.traced = self._trace(layer, replay=replay, twice=twice, needs_derivatives=needs_derivatives)
        self._readings = OutputReadings(self.traced, batch, select, settings, memory)
        self._removal = removal.once()
        self._regions: dict[str, Regions] = {}

    @property
    def output(self) -> Any:
        """Return the model's output, or the part of it that was selected."""
        output = self.traced.output
        return output.detach() if isinstance(output, Tensor) else output

    def game(self, target: Target, utility: Utility, players: Regions = None) -> Game:
        """Return the game of each image; arguments and errors as in `Explainer.game`."""
        settings, traced = self._settings, self._readings.read_for(utility)
        utility.check_images(len(traced.images))
        scores = self._readings.scores(utility)
        if scores is not None:
            check_label_count(settings.labels, scores.shape[1])
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
        game = Game(
            traced,
            layout,
            utility_of_images,
            classes,
            self.regions(players),
            memory=settings.memory,
            removal=self._removal,
            image_channels=self.channels,
        )
        check_rows_apart(utility_of_images, traced.output, classes)
        return game

    def regions(self, players: Regions) -> Regions:
        """Return players as a game takes them: a name of regions becomes labels of the pixels, computed once.

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
        """Explain as `compare` does, but do not warn of blank maps: the caller may average this map with others.

        Of the smoothings this method applies "eigen" only; the others need other images.
        """
        game = self.game(target, utility, options.players)
        choice = choose_methods(methods, game, options)
        if EIGEN.name in smooth:
            choice = replace(choice, rows=tuple(smooth_rows(choice.rows)))
        head_warnings = HeadWarnings(self._memory, self._recorded)
        head_warnings.warn(game, {row.basis for row in choice.rows})
        warnings.warn_of_unused_removal(choice.rows, game.removal, self._memory.messages)
        explanations, refused = explain_game(
            game,
            choice,
            options,
            batch=self.batch,
            traced=self._readings.read("output"),
            channels=self.channels,
            curvature=curvature,
        )
        head_warnings.warn_of_saturation(game, choice.rows, explanations)
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
        """Return the target as class numbers and the utility with its data from these images.

        The same question can then be asked about changed versions of these images: a target of None becomes the class
        that is predicted here.
        """
        game = self.game(target, utility)
        scores = self._readings.scores(utility)
        is_predicted = target is None and scores is not None and len(scores) == len(game.target)
        return game.target if is_predicted else target, game.utility

    def expand_targets(self, targets: Sequence[Target] | int, utility: Utility) -> Sequence[Target]:
        """Return a list of targets; an integer k is replaced by the k most probable classes of each image.

        Raises:
            OptionError: a single name, a number below 1, or a number where the output has no classes.
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

    def _trace(self, layer: str, *, replay: bool, twice: bool, needs_derivatives: bool = True) -> Trace:
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
            needs_derivatives=needs_derivatives,
        )

    def _recorded(self, game: Game) -> Game:
        """Return the same game with a new trace, whose head can run again."""
        recorded = self._trace(game.layer, replay=True, twice=False).read_as(game.utility.reads)
        return game.variant(recorded, game.utility)
