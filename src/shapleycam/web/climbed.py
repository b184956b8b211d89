"""The ladder of one photograph, layer by layer, for whoever watches: what each costs, and how close it comes."""

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
"""As `InputQuestion.values` has it: another one than those of methods, which are compared with the values."""


@dataclass(frozen=True)
class Climb:
    """A ladder in the making.

    Attributes:
        layers: all that it goes to, the last first, and the input at the end.
        at_work: what is computed now; "" at the end.
        runs: of the model that the input's values took so far, and of how many; (0, 0) where they are not sampled.
        input: how sure the input's values are, and what these divide; None before.
        input_passes: the time of the input's values, in plain forward passes.
        distances: of the layers so far, those of a layer's own values before those of a method.
        label: the class.
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
        """Return the layers so far, without the input."""
        return tuple(dict.fromkeys(each.layer for each in self.distances if each.layer != INPUT))


@dataclass(frozen=True)
class InputTruth:
    """The values of the input, and the game that they are of."""

    game: Game
    values: SplitValues
    passes: float


def climb(resolved: ResolvedQuestion) -> Iterator[Climb]:
    """Yield the ladder of the question's photograph after each step; what was measured of it before is not again.

    Raises:
        OptionError: a layer that is named twice, or too few runs for the regions.
        LayerError: no such layer.
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
    """Yield the runs so far, of how many, and at last the values of the input."""
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
            if METHODS[methods[0]].basis.fewest_runs is not None:  # it divides the layer's own game
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
    """Return the key of what is kept of a ladder, whatever its layers."""
    fields = ("photo", "model", "utility", "removal", "players")
    return f"ladder at {what}", resolved.question.only(fields)


def is_own(distance: InputDistance) -> bool:
    """Return whether a distance is that of a layer's own values."""
    return distance.method == LAYER_VALUES
