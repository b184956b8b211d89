"""`LadderMeasurement`: compares the values at every layer of a ladder with the input's, image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from time import perf_counter
from typing import TypeAlias

from shapleycam.bridge.store import Store
from shapleycam.errors import MethodLeftOutWarning, OptionError, ignore_warnings
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.fidelity import LAYER_VALUES, InputDistance, InputQuestion, InputValues
from shapleycam.fidelity.input_distance import MeasuredValues, distances_to_input
from shapleycam.fidelity.input_reference import describe_input_values, name_of
from shapleycam.fidelity.layer_values import method_options, methods_at_input, own_values, values_of_methods
from shapleycam.fidelity.timing import time_plain_pass
from shapleycam.game import Game
from shapleycam.tracing.input_layer import INPUT
from shapleycam.values.progress import Progress

Listener: TypeAlias = "Callable[[str, str], None]"
"""A function that is called with the names of an image and a layer when this layer is measured."""


class LadderMeasurement:
    """Measures image after image, and collects the results.

    Args:
        question: the regions, removal and number of runs at the input.
        at_input: the explainer at the input.
        rungs: the explainer at each layer, by the layer's name; the input is the last.
        methods: names of methods.
        store: where values are stored; None to store none.
        progress: called while values are sampled.
        listener: called after each layer of an image.

    Attributes:
        rungs: the argument.
        utility: the utility's name; "" before the first image.
        distances: as `Ladder.distances`.
        inputs: as `Ladder.inputs`.
        input_passes: as `Ladder.input_passes`.
    """

    def __init__(
        self,
        question: InputQuestion,
        at_input: Explainer,
        rungs: dict[str, Explainer],
        methods: Sequence[str],
        store: Store | None,
        progress: Progress | None,
        listener: Listener | None,
    ) -> None:
        self._question, self._at_input, self._methods = question, at_input, methods
        self._store, self._progress, self._listener = store, progress, listener
        self.rungs = rungs
        self.utility = ""
        self.distances: list[InputDistance] = []
        self.inputs: list[InputValues] = []
        self.input_passes: list[float] = []

    def add(self, batch: Batch) -> None:
        """Measure one image at all layers.

        Methods come first, so that a method that is refused is reported before the long sampling of Shapley values.
        """
        game = self._question.game(self._at_input, batch)
        name = self._unique_name(name_of(batch.sources[0]))
        methods = dict.fromkeys(self.rungs, self._methods) | {INPUT: self._methods_at_input(game)}
        by_layer = {
            layer: self._values_of_methods(at_layer, methods[layer], batch, game)
            for layer, at_layer in self.rungs.items()
        }
        true = self._read_or_compute(batch, INPUT, game, lambda: self._input_values(batch, game))
        self.utility = game.utility.name
        self.inputs += [replace(row, image=name) for row in describe_input_values(game, true.values, batch.sources)]
        self.input_passes.append(true.passes)
        for layer, at_layer in self.rungs.items():
            measured = by_layer[layer]
            if layer != INPUT:
                compute = lambda at=at_layer: own_values(at, batch, game, self._question, self._progress)  # noqa: E731
                measured = [self._read_or_compute(batch, layer, game, compute), *measured]
            for values in measured:
                self.distances += distances_to_input([name], self.utility, values, true.values)
            if self._listener is not None:
                self._listener(name, layer)

    def _methods_at_input(self, game: Game) -> Sequence[str]:
        """Return the methods that are possible at the input; warn about omitted methods at the first image only."""
        with ignore_warnings(MethodLeftOutWarning) if self.inputs else nullcontext():
            return methods_at_input(self._methods, game)

    def _unique_name(self, name: str) -> str:
        """Return a name that no earlier image has, with a number appended if needed.

        Distances to the input are grouped by image name, so two images must not share one.
        """
        used = {row.image for row in self.inputs}
        numbered = (name if number == 1 else f"{name} ({number})" for number in count(1))
        return next(candidate for candidate in numbered if candidate not in used)

    def _values_of_methods(
        self, at_layer: Explainer, methods: Sequence[str], batch: Batch, game: Game
    ) -> list[MeasuredValues]:
        if not methods:
            return []
        options = method_options(at_layer, batch, game, self._question)
        return values_of_methods(at_layer, batch, methods, game, options)

    def _input_values(self, batch: Batch, game: Game) -> MeasuredValues:
        plain = time_plain_pass(self._at_input, batch)
        start = perf_counter()
        split = self._question.values(game, self._progress)
        seconds = perf_counter() - start
        return MeasuredValues(INPUT, LAYER_VALUES, split, True, seconds / plain, int(split.runs.max()))

    def _read_or_compute(
        self, batch: Batch, layer: str, game: Game, compute: Callable[[], MeasuredValues]
    ) -> MeasuredValues:
        """Return values from the store, or compute and store them."""
        store = self._store
        if store is not None and not batch.extra.is_empty:
            raise OptionError(
                "values are stored by the pixels of their image, which do not identify images with further inputs=; "
                "leave out="
            )
        if store is not None and store.has(batch.images, layer):
            return store.read(batch.images, layer, game.n_players)
        measured = compute()
        if store is not None:
            store.write(batch.images, measured, name_of(batch.sources[0]))
        return measured
