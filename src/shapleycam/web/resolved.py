"""`ResolvedQuestion`: a question with the objects that it names: photograph, model, class, and explanations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shapleycam.drawing.map_style import MapStyle, StyleKeywords
from shapleycam.errors import ModelError, OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explaining.photographs import prepare_photograph, stack_photographs
from shapleycam.explaining.reference import ReferenceSamples
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.game.removal import NAMED, SAMPLES
from shapleycam.models.labels import class_index
from shapleycam.names import canonical_name, nearest
from shapleycam.smoothing import Smooth, parse_smoothing
from shapleycam.tracing.input_layer import is_input
from shapleycam.utilities import Utility, contrast, resolve_utility
from shapleycam.values.options import EstimatorOptions
from shapleycam.web.classes import class_choice
from shapleycam.web.defaults import DEFAULT_CONTRAST, DEFAULT_LAYER, DEFAULT_REMOVAL, DEFAULT_UTILITY, default_method
from shapleycam.web.drawn_size import shrink_photograph
from shapleycam.web.map_choices import read_style
from shapleycam.web.model_cache import LoadedModel
from shapleycam.web.photographs import Photograph
from shapleycam.web.player_choices import DEFAULT_PLAYERS, DEFAULT_RUNS, RunPlan, read_players, read_runs
from shapleycam.web.question import Question
from shapleycam.web.resources import Resources

ABOUT_A_PHOTOGRAPH = ("photo", "model", "layer", "target", "against", "utility", "removal")
"""The fields that every view of a photograph reads."""
ABOUT_PLAYERS = ("players", "runs")
"""The fields of the view in which regions of the photograph can be players."""
ABOUT_MAPS = ("smooth", "colours", "contours", "sign", "top_value")
"""The fields of the views that draw maps: how these are smoothed and drawn."""


@dataclass(frozen=True)
class ResolvedQuestion:
    """A question with the objects that it names, each found on first use; `check` raises if nobody waits any more."""

    question: Question
    resources: Resources
    check: Callable[[], None]

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model."""
        return self.resources.models.get(self.question.model, self.check)

    @cached_property
    def model_name(self) -> str:
        """The model's short name."""
        names = self.resources.models.names
        return names.canonical(self.question.model) or names.short[0]

    @cached_property
    def explainer(self) -> Explainer:
        """The model at the layer."""
        return self.loaded.explainer(self.question.layer or DEFAULT_LAYER)

    @cached_property
    def photograph(self) -> Photograph:
        """The photograph."""
        return self.resources.photographs.get(self.question.photo)

    @cached_property
    def batch(self) -> Batch:
        """The preprocessed photograph; the original for drawing is shrunk to the size of pictures."""
        transform = self.explainer.preprocess
        if transform is None:
            raise ModelError(f"model {self.model_name!r} does not say how it wants photographs; the operator must")
        prepared = prepare_photograph(self.photograph.image(), transform, self.photograph.name)
        return stack_photographs([shrink_photograph(prepared)], self.explainer.model)

    @cached_property
    def target(self) -> Target:
        """The class that is explained; None for the predicted one."""
        return self._class(self.question.target)

    @cached_property
    def against(self) -> int | None:
        """The class that it is explained against; None if there is no such class."""
        return self._class(self.question.against)

    @cached_property
    def utility(self) -> Utility:
        """The utility: the score of the class that is explained."""
        if self.against is None:
            return resolve_utility(self.question.utility or DEFAULT_UTILITY)
        return contrast(class_choice(self.against, self.explainer.labels), self.question.utility or DEFAULT_CONTRAST)

    @cached_property
    def removal(self) -> str:
        """The name of the removal: what replaces absent places."""
        name = canonical_name(self.question.removal or DEFAULT_REMOVAL, NAMED)
        if name is None:
            raise OptionError(f"removal {self.question.removal!r} is unknown; {nearest(self.question.removal, NAMED)}")
        if name == SAMPLES.name and not self.resources.models.reference:
            raise OptionError(
                f"removal {name!r} takes reference photographs to stand in, and the operator of this page gives none; "
                "choose another removal, or explain by the command line or in Python"
            )
        return name

    @property
    def chosen_removal(self) -> str | ReferenceSamples:
        """The removal as explainers take it."""
        return self.loaded.reference_samples if self.removal == SAMPLES.name else self.removal

    @property
    def method(self) -> str:
        """The method of the first tab: the text in the address, or the default."""
        return self.question.method or default_method(self.question)

    @property
    def is_at_input(self) -> bool:
        """Whether the layer is the photograph itself."""
        return is_input(self.explainer.model, self.question.layer)

    @property
    def default_players(self) -> Regions:
        """The players for sampled values at the input if the address has none."""
        return read_players(DEFAULT_PLAYERS)

    @cached_property
    def players(self) -> Regions:
        """The players of the first tab: a grid, or a name of regions; None if the address has none."""
        return read_players(self.question.players)

    @cached_property
    def runs(self) -> int | None:
        """The number of runs of the head that the first tab may make; None for the default."""
        plan = read_runs(self.question.runs)
        return None if plan is None else plan.most

    @property
    def run_plan(self) -> RunPlan:
        """The plan of runs of the whole model for the first tab at layer "input"."""
        return read_runs(self.question.runs) or RunPlan(DEFAULT_RUNS, DEFAULT_RUNS)

    @cached_property
    def smooth(self) -> Smooth:
        """The smoothings."""
        return parse_smoothing(self.question.smooth or None)

    @cached_property
    def style(self) -> MapStyle:
        """The style of maps."""
        return read_style(self.question)

    @property
    def style_keywords(self) -> StyleKeywords:
        """The style as keywords for the drawing methods of an explanation."""
        style = self.style
        return StyleKeywords(colours=style.colours, contours=style.contours, sign=style.sign, top_value=style.top_value)

    def explain(
        self, traced_batch: TracedBatch, methods: Sequence[str], options: EstimatorOptions, *, curvature: bool = False
    ) -> Mapping[str, Explanation]:
        """Return explanations by method: from the given forward pass, or with smoothing from further passes."""
        self.check()
        if not self.smooth:
            return traced_batch.compare(methods, self.target, self.utility, options, curvature=curvature)
        [comparison] = self.explainer.compare_with(
            options,
            self.batch,
            methods,
            [self.target],
            self.utility,
            curvature=curvature,
            removal=self.chosen_removal,
            smooth=self.smooth,
        )
        return comparison

    def trace(self, *methods: str) -> TracedBatch:
        """Run one forward pass for these methods, and return it; it can explain, and make games."""
        self.check()
        return self.explainer.trace(self.batch, list(methods), self.utility, replay=True, removal=self.chosen_removal)

    def game(self, traced_batch: TracedBatch, players: Any = None) -> Game:
        """Return the game of the question."""
        return traced_batch.game(self.target, self.utility, players)

    def regions(self, game: Game, side: int) -> tuple[int, int] | None:
        """Return the numbers of regions (down, across), each at most `side`; None if the cells are that few.

        Raises:
            OptionError: the layer's grid is not that of an image.
        """
        grid = game.layout.grid
        if len(grid) != 2:
            raise OptionError(
                f"the layer has a grid of {len(grid)} dimensions; the page plays on images, of 2: choose another"
            )
        return None if max(grid) <= side else (min(grid[0], side), min(grid[1], side))

    def cached(self, what: str, make: Callable[[], Any]) -> Any:
        """Return a result that several views of the photograph share, from the cache or by `make`."""
        return self.resources.results.get((what, self.question.only(ABOUT_A_PHOTOGRAPH)), make, self.check)

    def cached_game(self, make: Callable[[], Any], what: str = "game", *, players: bool = False) -> Any:
        """Return the question's game, cached for all views; if `players`, the question's players are in the key."""
        fields = (*ABOUT_A_PHOTOGRAPH, "players") if players else ABOUT_A_PHOTOGRAPH
        return self.resources.games.get((what, self.question.only(fields)), make, self.check)

    def progress(self, *_: object) -> None:
        """Stop the work if nobody waits for it; estimators take this method as their progress listener."""
        self.check()

    def _class(self, text: str) -> int | None:
        labels = self.explainer.labels
        return class_index(text, labels, len(labels) if labels else 10**9) if text else None
