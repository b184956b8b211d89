"""One forward pass of a model at one layer, and what may be asked of it: explanations, games, classes, utilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapleycam.cams.compute import EstimatorOptions
from shapleycam.cams.table import METHODS, Derivative, expand
from shapleycam.errors import ModelError, OptionError
from shapleycam.explaining import warnings
from shapleycam.explaining.inputs import Batch, Target, targets_of
from shapleycam.explaining.questions import explained
from shapleycam.explanations.comparison import Comparison
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.layers import Solid, channel_axis, layout_at
from shapleycam.models.layout import Layout
from shapleycam.models.network import Transform
from shapleycam.models.outputs import check_rows
from shapleycam.tracing import Trace, trace
from shapleycam.tracing._trace import Select
from shapleycam.tracing.isolation import isolated, run
from shapleycam.tracing.scores import Reads
from shapleycam.utilities import Function, Utility
from shapleycam.utilities.checks import check_classes, check_scores
from shapleycam.utilities.utility import logits_or_none
from shapleycam.values.scale import about_scale, cancels, ignores_scale

_REPLAYED: frozenset[Derivative] = frozenset({"path", "sampled", "exact"})
"""What runs the head again, at other activations than the image's own."""
_REMEMBERED = 64
"""Of how many utilities it is remembered whether the head ignores scale."""


@dataclass(frozen=True)
class ExplainerSettings:
    """A model as its explainer was told to take it; `ignores_scale` is what was learnt, by layer and utility; `told` is
    what the user has been told of its output; of the forms in `rows_checked` the output has one row an image.
    """

    model: nn.Module
    labels: tuple[str, ...] | None
    preprocess: Transform | None
    memory: int
    layout: str | Layout | None
    solid: Solid = None
    ignores_scale: dict[tuple[str, int], tuple[bool, Function]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    rows_checked: set[tuple[int, ...]] = field(default_factory=set)


class TracedBatch:
    """A batch of images seen by a model once, at one layer; see `Explainer.trace`.

    `batch` are the images, `channels` is the axis of their channels, `traced` what the pass left. It holds the graph of
    what comes after the layer.
    """

    def __init__(
        self,
        settings: ExplainerSettings,
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
        self._readings: dict[Reads, Trace] = {}
        self._settings, self._select = settings, select
        self.channels = channel_axis(settings.model, batch.images, settings.solid, batch.extra)
        self.traced = self._trace(layer, replay=replay or bool(needed & _REPLAYED), twice=twice or "second" in needed)

    @property
    def output(self) -> Any:
        """What the model returned, or what was chosen of it."""
        output = self.traced.output
        return output.detach() if isinstance(output, Tensor) else output

    def game(self, target: Target, utility: Utility, players: Regions = None) -> Game:
        """The game of each image; arguments and errors as in `Explainer.game`."""
        settings, traced = self._settings, self._read_for(utility)
        utility.check_images(len(traced.images))
        scores = self._scores(utility)
        classes = targets_of(target, utility, scores, settings.labels, traced.images)
        settled = utility.with_image_data(traced.output, classes, settings.labels)
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
        return Game(traced, layout, settled, classes, players, settings.memory)

    def compare(
        self,
        methods: Sequence[str],
        target: Target,
        utility: Utility,
        effort: EstimatorOptions,
        players: Regions = None,
        *,
        curvature: bool = False,
    ) -> Comparison:
        """Explanations of one class by several methods; arguments and errors as in `Explainer.compare`."""
        game = self.game(target, utility, players)
        rows = [METHODS[name] for name in expand(methods, game.n_players)]
        self._advise_on_scale(game, {row.derivative for row in rows})
        own = self._reading("output")
        found = explained(game, own, rows, effort, self.batch.sources, wanted=curvature, channels=self.channels)
        named = Comparison(
            {
                name: replace(
                    e, labels=self._settings.labels, preprocess=self._settings.preprocess, **self._form(game.utility)
                )
                for name, e in found.items()
            }
        )
        for explanation in named.values():
            warnings.about_blank(explanation)
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
        scores = self._scores(utility)
        if scores is None or targets < 1:
            raise OptionError(f"targets={targets}, utility {utility.name!r}; expected 1 or more, of what has classes")
        able = int(torch.isfinite(scores).sum(1).min())  # of a set of classes, its members
        return list(scores.detach().topk(min(targets, able)).indices.T)

    def _reading(self, reads: Reads) -> Trace:
        """The pass as a question of this kind reads it."""
        if reads not in self._readings:
            self._readings[reads] = self.traced.reading(reads)
            if reads != "output":
                self._check_one_alone()
        return self._readings[reads]

    def _check_one_alone(self) -> None:
        """Refuse an output whose rows only seem to be images, as there are as many classes as images.

        Raises:
            ModelError: for one image alone it has another form.
        """
        shape, images = tuple(getattr(self.traced.output, "shape", ())), self.batch.images
        key = (*shape, id(self._select))
        if len(images) == 1 or set(shape) != {len(images)} or key in self._settings.rows_checked:
            return
        with isolated(self._settings.model) as model:
            alone = check_rows(self._select(run(model, images[:1], self.batch.first.extra)), 1)
        if alone.numel() * len(images) != self.traced.output.numel():
            raise ModelError(
                f"the model returns shape {shape} for {len(images)} images and {tuple(alone.shape)} for one alone; "
                "expected one row for each: mend the model, or make such rows of what it returns by output=, a function"
            )
        self._settings.rows_checked.add(key)

    def _read_for(self, utility: Utility) -> Trace:
        """The pass as a utility reads it, where it can be asked that; what there is to know of it is said once."""
        traced = self._reading(utility.reads)
        if traced.scores is not None:
            check_scores(utility, traced.scores)
            warnings.about_scores(utility, traced, self._settings.labels, self._settings.told)
        return traced

    def _scores(self, utility: Utility) -> Float[Tensor, "b classes"] | None:
        """What a target chooses among; of a function of the user's the class scores, if there are any."""
        if utility.scores is not logits_or_none or utility.raw:
            return utility.scores(self._reading(utility.reads).output, self._settings.labels)
        try:
            return utility.scores(self._reading("scores").output, self._settings.labels)
        except ModelError:  # the function makes its own of such an output
            return None

    def _form(self, utility: Utility) -> dict[str, Any]:
        """What the numbers of the model's own output are, and what there is to know about it."""
        try:
            scores = self._reading("scores").scores
        except ModelError:
            scores = None
        said = scores.remark if scores is not None and utility.reads == "scores" else None
        return {"form": None if scores is None else scores.form, "remark": said}

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
        )

    def _advise_on_scale(self, game: Game, needed: set[Derivative]) -> None:
        """Look once a utility whether the head ignores scale; for derivatives at A only where they look like it."""
        if not needed & {"first", "second", "path"}:
            return
        learnt, utility = self._settings.ignores_scale, game.utility
        key = (self.traced.layer, id(utility.function))
        if len(learnt) > _REMEMBERED:
            learnt.clear()
        if key not in learnt and ("path" in needed or cancels(game)):
            if "path" not in needed:
                again = self._trace(self.traced.layer, replay=True, twice=False).reading(utility.reads)
                game = Game(again, game.layout, utility, game.target)
            learnt[key] = (ignores_scale(game), utility.function)
        if learnt.get(key, (False,))[0]:
            about_scale(self.traced.layer, utility.name)
