"""The ladder of one photograph: for each layer the cost of its values, and their distance from the input's values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import torch

from shapleycam.bridge._ladder import at_rung
from shapleycam.bridge.rungs import choose_rungs
from shapleycam.cams.table import METHODS, method_of
from shapleycam.errors import OptionError, ignore_warnings
from shapleycam.explaining.explainer import Explainer
from shapleycam.fidelity import LAYER_VALUES, InputDistance, InputQuestion, InputValues
from shapleycam.fidelity._split_values import (
    SplitValues,
    has_shortcut,
    sampled_runs,
    split_steps,
    split_values,
    takes_all_coalitions,
)
from shapleycam.fidelity.input_distance import MeasuredValues, distances_to_input
from shapleycam.fidelity.input_reference import describe_input_values
from shapleycam.fidelity.layer_values import method_options, methods_at_input, own_values, values_of_methods
from shapleycam.fidelity.timing import time_plain_pass
from shapleycam.game import Game
from shapleycam.tracing.input_layer import INPUT
from shapleycam.web.classes import class_title
from shapleycam.web.resolved import ResolvedQuestion

_INPUT_SEED = 1
"""The seed of `InputQuestion.values`. It differs from those of methods, which are compared with these values."""


@dataclass(frozen=True)
class Climb:
    """A ladder that is being computed.

    Attributes:
        layers: all layers of the ladder, from the last to the input.
        at_work: what is computed now, in words; "" at the end.
        runs: the number of runs of the model for the input's values so far, and their total; (0, 0) if these values are
            not sampled.
        input: the precision of the input's values and the score that they divide; None before they are known.
        input_passes: the time for the input's values, in plain forward passes.
        distances: the distances for the layers so far; a layer's own values come before those of a method.
        label: the name of the class.
    """

    layers: tuple[str, ...]
    at_work: str
    runs: tuple[int, int] = (0, 0)
    input: InputValues | None = None
    input_passes: float = 0.0
    distances: tuple[InputDistance, ...] = ()
    label: str = ""

    @property
    def measured(self) -> tuple[str, ...]:
        """Return the layers that are done, without the input."""
        return tuple(dict.fromkeys(each.layer for each in self.distances if each.layer != INPUT))


@dataclass(frozen=True)
class InputTruth:
    """The game at the input, its values, and the time that these took in plain forward passes."""

    game: Game
    values: SplitValues
    passes: float


def climb(resolved: ResolvedQuestion) -> Iterator[Climb]:
    """Yield the ladder of the question's photograph after each step; earlier results come from the cache.

    Raises:
        OptionError: a layer is named twice, or the runs are too few for the regions.
        LayerError: a layer does not exist.
    """
    explainer = resolved.explainer
    players = resolved.players or resolved.default_players
    question = InputQuestion(players=players, removal=resolved.chosen_removal)
    names = [name for name in resolved.question.layers.split(",") if name.strip()] or None
    layers = choose_rungs(explainer, resolved.batch, names)
    at_input = question.at_input(explainer)
    resolved.check()
    yield Climb(layers, "the values of the photograph's regions")
    truth: InputTruth | None = resolved.resources.results.peek(_key(resolved, INPUT))
    if truth is None:
        for runs, values in _input_values(resolved, at_input, question):
            if isinstance(values, InputTruth):
                truth = values
                resolved.resources.results.put(_key(resolved, INPUT), truth)
            else:
                yield Climb(layers, "the values of the photograph's regions", runs)
    if truth is None:
        raise OptionError("the values of the photograph's regions could not be computed; ask again")
    (sure,) = describe_input_values(truth.game, truth.values, resolved.batch.sources)
    label = class_label(explainer, truth.game)
    distances: tuple[InputDistance, ...] = ()
    for layer in layers:
        yield Climb(layers, layer, input=sure, input_passes=truth.passes, distances=distances, label=label)
        distances += _distances(resolved, at_rung(explainer, at_input, layer), layer, truth, question)
    yield Climb(layers, "", input=sure, input_passes=truth.passes, distances=distances, label=label)


def class_label(explainer: Explainer, game: Game) -> str:
    """Return the name of the class of a game of one image."""
    return class_title(int(game.target[0]), explainer.labels)


def _input_values(
    resolved: ResolvedQuestion, at_input: Explainer, question: InputQuestion
) -> Iterator[tuple[tuple[int, int], InputTruth | None]]:
    """Yield the number of runs so far and in total, and in the last step the values of the input."""
    game = question.game(at_input, resolved.batch, resolved.utility)
    plain = time_plain_pass(at_input, resolved.batch)
    start = perf_counter()
    n, most = game.n_players, question.runs
    if has_shortcut(game, most) or takes_all_coalitions(n, most):
        exact = split_values(game, most, _INPUT_SEED, progress=resolved.progress)
        yield (0, 0), InputTruth(game, exact, (perf_counter() - start) / plain)
        return
    for runs, values in split_steps(game, most, _INPUT_SEED, progress=resolved.progress):
        truth = None if values is None else InputTruth(game, values, (perf_counter() - start) / plain)
        yield (runs, sampled_runs(n, most)), truth


@torch.no_grad()
def _distances(
    resolved: ResolvedQuestion, at_layer: Explainer, layer: str, truth: InputTruth, question: InputQuestion
) -> tuple[InputDistance, ...]:
    """Return the distances of a layer's own values, and of the question's method, from the input's."""

    def measure() -> tuple[InputDistance, ...]:
        measured: list[MeasuredValues] = []
        with ignore_warnings():
            if layer != INPUT:
                measured.append(own_values(at_layer, resolved.batch, truth.game, question, resolved.progress))
            methods = [_method(resolved)]
            if METHODS[methods[0]].basis.fewest_runs is not None:  # the method plays the layer's own game
                methods = []
            if methods_at_input(methods, truth.game) if layer == INPUT else methods:
                options = method_options(at_layer, resolved.batch, truth.game, question)
                measured += values_of_methods(at_layer, resolved.batch, methods, truth.game, options)
        names = [resolved.batch.sources[0].name]
        utility = truth.game.utility.name
        return tuple(each for values in measured for each in distances_to_input(names, utility, values, truth.values))

    distances: tuple[InputDistance, ...] = resolved.resources.results.get(
        _key(resolved, f"{layer} by {_method(resolved)}"), measure, resolved.check
    )
    return distances


def _method(resolved: ResolvedQuestion) -> str:
    return method_of(resolved.method).name


def _key(resolved: ResolvedQuestion, what: str) -> tuple[str, object]:
    """Return the cache key of a part of a ladder; it does not depend on which layers the ladder has."""
    fields = ("photo", "model", "utility", "removal", "players")
    return f"ladder at {what}", resolved.question.only(fields)


def is_own(distance: InputDistance) -> bool:
    """Return whether a distance is that of a layer's own values."""
    return distance.method == LAYER_VALUES
