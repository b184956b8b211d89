"""Measures an image at every layer of a ladder: the values of layer and methods, against those of the input."""

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
"""Is called with the name of an image and of a layer, once that layer is measured."""


class LadderMeasurement:
    """Measures image after image, and collects the results.

    Args:
        question: regions, removal and runs at the input.
        at_input: the explainer at the input.
        rungs: the explainer at each layer, by name; the input is the last.
        methods: names of methods.
        store: of values that are kept; None to keep none.
        progress: called while values are sampled.
        listener: called after each layer of an image.

    Attributes:
        rungs: as given.
        utility: its name, once an image was measured.
        distances: one for each image, layer, and method or the layer's own values.
        inputs: how sure the input's values are, one for each image.
        input_passes: their time in plain forward passes.
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
        """Measure one image at all layers; methods first, so that one that is refused is known before the runs."""
        game = self._question.game(self._at_input, batch)
        name = self._unused(name_of(batch.sources[0]))
        methods = dict.fromkeys(self.rungs, self._methods) | {INPUT: self._at_input_methods(game)}
        by_layer = {
            layer: self._values_of_methods(at_layer, methods[layer], batch, game)
            for layer, at_layer in self.rungs.items()
        }
        true = self._kept(batch, INPUT, game, lambda: self._input_values(batch, game))
        self.utility = game.utility.name
        self.inputs += [replace(each, image=name) for each in describe_input_values(game, true.values, batch.sources)]
        self.input_passes.append(true.passes)
        for layer, at_layer in self.rungs.items():
            measured = by_layer[layer]
            if layer != INPUT:
                compute = lambda at=at_layer: own_values(at, batch, game, self._question, self._progress)  # noqa: E731
                measured = [self._kept(batch, layer, game, compute), *measured]
            for values in measured:
                self.distances += distances_to_input([name], self.utility, values, true.values)
            if self._listener is not None:
                self._listener(name, layer)

    def _at_input_methods(self, game: Game) -> Sequence[str]:
        """Return the methods of the input's rung; of what is left out there, the first image tells."""
        with ignore_warnings(MethodLeftOutWarning) if self.inputs else nullcontext():
            return methods_at_input(self._methods, game)

    def _unused(self, name: str) -> str:
        """Return a name with a number behind it where another image has it: images are compared by their names."""
        used = {each.image for each in self.inputs}
        numbered = (name if number == 1 else f"{name} ({number})" for number in count(1))
        return next(each for each in numbered if each not in used)

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

    def _kept(self, batch: Batch, layer: str, game: Game, compute: Callable[[], MeasuredValues]) -> MeasuredValues:
        """Return values that are kept, or compute and keep them."""
        store = self._store
        if store is not None and not batch.extra.is_empty:
            raise OptionError(
                "images with further inputs= are known by more than their pixels, so that their values could not be "
                "kept; leave out="
            )
        if store is not None and store.has(batch.images, layer):
            return store.read(batch.images, layer, game.n_players)
        measured = compute()
        if store is not None:
            store.write(batch.images, measured, name_of(batch.sources[0]))
        return measured
