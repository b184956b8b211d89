"""Values of methods, and Shapley values, at a layer, summed over regions of the image."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import MethodLeftOutWarning, OptionNotUsedWarning, ignore_warnings, warn
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.fidelity._split_values import SplitValues, split_values
from shapleycam.fidelity.input_distance import LAYER_VALUES, MeasuredValues
from shapleycam.fidelity.input_reference import InputQuestion
from shapleycam.fidelity.region_sums import region_sums
from shapleycam.fidelity.timing import time_methods, time_plain_pass
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.tracing.input_layer import INPUT
from shapleycam.values._path import Nodes
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.progress import Progress


def values_of_methods(
    at_layer: Explainer, batch: Batch, methods: Sequence[str], input_game: Game, options: EstimatorOptions
) -> list[MeasuredValues]:
    """Return the values of methods at the explainer's layer, summed over the regions of a game at the input.

    The sampling noise of methods that sample is not known, and counts as distance.
    """
    utility = input_game.utility
    with ignore_warnings(OptionNotUsedWarning):  # some options are used only by methods that sample the layer's game
        [comparison] = at_layer.compare_with(options, batch, methods, [None], utility)
    times = time_methods(at_layer, batch, utility, list(comparison), options)
    measured = []
    for name, explanation in comparison.items():
        sums = region_sums(explanation.values, input_game.players)
        values = SplitValues.exact(sums, explanation.target.new_zeros(len(sums)), name)
        measured.append(MeasuredValues(explanation.layer, name, values, METHODS[name].in_units, times[name][1]))
    return measured


def methods_at_input(methods: Sequence[str], input_game: Game) -> list[str]:
    """Return the methods that are possible at the input, and warn (`MethodLeftOutWarning`) about the others.

    Methods of derivatives need a removal with a single image in which everything is removed.
    """
    names = expand_methods(methods) if methods else []
    if input_game.removal.is_fixed:
        return names
    left_out = [name for name in names if METHODS[name].needs_removed_state]
    if left_out:
        warn(
            MethodLeftOutWarning,
            f"{', '.join(left_out)} left out at layer {INPUT!r}: removal {input_game.removal.name!r} has no single "
            "image in which all is removed, from which a derivative or a path could begin",
        )
    return [name for name in names if name not in left_out]


def own_values(
    at_layer: Explainer, batch: Batch, input_game: Game, question: InputQuestion, progress: Progress | None = None
) -> MeasuredValues:
    """Return the layer's own Shapley values, summed over the regions of a game at the input, and their cost.

    The seeds differ from those of the input's values, because the noise of the two must be independent.
    """
    plain = time_plain_pass(at_layer, batch)
    start = perf_counter()
    game = layer_game(at_layer, batch, input_game, question.players)
    split = split_values(game, question.runs, question.seed + 3, progress=progress)
    seconds = perf_counter() - start
    sums = split.map(lambda values: region_sums(game.players.cells(values), input_game.players))
    return MeasuredValues(game.layer, LAYER_VALUES, sums, True, seconds / plain, int(split.runs.max()))


def method_options(
    at_layer: Explainer, batch: Batch, input_game: Game, question: InputQuestion, nodes: Nodes = 8
) -> EstimatorOptions:
    """Return the options for methods at a layer: the layer's players, and the question's seed and number of runs."""
    game = at_layer.game(batch, utility=input_game.utility)
    players = layer_players(game, input_game, question.players)
    return EstimatorOptions(nodes, seed=question.seed, players=players, runs=question.runs)


def layer_game(at_layer: Explainer, batch: Batch, input_game: Game, players: Regions) -> Game:
    """Return the game of a layer's players, with the utility of a game at the input, for the predicted class."""
    game = at_layer.game(batch, utility=input_game.utility)
    chosen = layer_players(game, input_game, players)
    return game if chosen is None else game.with_players(chosen)


def layer_players(game: Game, input_game: Game, players: Regions) -> Regions:
    """Return the players at a layer: None for its cells, or a coarser grid if it has more cells than regions.

    For a game at the input these are the regions themselves.
    """
    if game.is_at_input:
        return input_game.players.labels
    grid = layer_grid(game.layout.grid, players, input_game.n_players)
    return None if grid == game.layout.grid else grid


def layer_grid(cells: tuple[int, ...], players: Regions, count: int) -> tuple[int, ...]:
    """Return the grid of a layer's players, which has on each axis at most as many players as cells and as regions.

    Args:
        cells: the layer's own grid.
        players: the regions of the image. Regions that are no grid, such as superpixels, count as a square grid with
            about the same number of regions.
        count: the number of regions.

    Examples:
        >>> from shapleycam.fidelity.layer_values import layer_grid
        >>> layer_grid((14, 14), (7, 6), 42), layer_grid((4, 4), (7, 6), 42), layer_grid((14, 14), "superpixels", 50)
        ((7, 6), (4, 4), (7, 7))
    """
    sides = (max(1, round(count ** (1 / len(cells)))),) * len(cells)
    if isinstance(players, tuple) and len(players) == len(cells):
        sides = tuple(map(int, players))
    return tuple(map(min, cells, sides))
