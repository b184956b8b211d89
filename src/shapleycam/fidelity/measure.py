"""`fidelity`: measures each method's distance from the true Shapley values, and its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import SECOND
from shapleycam.cams.compute import compute_bases, compute_values, measure_curvature, player_values
from shapleycam.cams.method_choice import choose_methods, compute_allowed
from shapleycam.cams.run_check import check_runs
from shapleycam.cams.table import METHODS
from shapleycam.errors import DerivativeError, OptionError
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.warnings import warn_of_left_out
from shapleycam.fidelity.distance import Distance, Fidelity, distances_of
from shapleycam.fidelity.distinct import distinct_images
from shapleycam.fidelity.reference import MOST_EXACT, describe_reference, notes_of_images, true_values
from shapleycam.fidelity.timing import time_methods
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.values._path import Nodes
from shapleycam.values.distance import relative_error
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.progress import Progress
from shapleycam.values.run_limit import run_limit
from shapleycam.values.scale import (
    divides_nothing,
    ignores_scale,
    warn_of_ignored_scale,
    warn_of_nothing_to_divide,
)


def fidelity(  # noqa: PLR0913  # every one but two has a default
    explainer: Explainer,
    batches: Iterable[Batch],
    utilities: Sequence[str] = ("rest",),
    methods: Sequence[str] = ("all",),
    *,
    tolerance: float = 0.005,
    players: Regions = None,
    nodes: Nodes = 8,
    seed: int = 0,
    progress: Progress | None = None,
    runs: int | None = None,
) -> Fidelity:
    """Compare methods with the true Shapley values of the predicted class, for each image and utility.

    The true values are exact if there are at most 12 players, or if they have a closed form. Otherwise they are sampled
    to `tolerance`, with another seed than that of the method sampledshapley, so that it is not compared with its own
    samples.

    Args:
        explainer: an explainer of the model, at one layer.
        batches: the images, as `shapleycam.explaining.inputs.batch_of` returns them.
        utilities: names of utilities.
        methods: names of methods, or the sets "paper", "all" and "field".
        tolerance: relative standard error ‖stderr‖ / ‖values‖ at which the sampling of true values ends.
        players: None for single positions, or regions as in `shapleycam.values.EstimatorOptions`.
        nodes: number of gradients along the path, for the path methods.
        seed: the seed for methods that draw random numbers; each image's content is mixed into it.
        progress: called while the true values are computed, as in `shapleycam.values.EstimatorOptions`.
        runs: maximum number of runs of the head for one image, for the true values and for each method that samples
            the game, as in `shapleycam.values.EstimatorOptions`.

    Raises:
        ShapleyCamError: as `Explainer.compare`; or there are no images.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer
        >>> from shapleycam.explaining.inputs import batch_of
        >>> from shapleycam.fidelity import fidelity
        >>> _ = torch.manual_seed(0)
        >>> layers = torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(*layers)
        >>> batch = batch_of(torch.rand(2, 3, 8, 8), None, model)
        >>> measured = fidelity(Explainer(model, layer="0"), [batch], methods=["hirescam", "exactshapley"])
        >>> max(d.error for d in measured.distances if d.method == "exactshapley") < 1e-5
        True
    """
    options = EstimatorOptions(nodes=nodes, seed=seed, players=players, runs=runs)
    measurement = _Measurement(explainer, methods, options, tolerance, seed + 1, progress)
    for batch in distinct_images(batches, [explainer.utility]):
        for utility in utilities:
            measurement.add(batch, utility)
    return measurement.result()


class _Measurement:
    """Measures batch after batch, and collects the results.

    Dictionaries with values of None are ordered sets: they hold each text once, in the order of its first occurrence.
    """

    def __init__(
        self,
        explainer: Explainer,
        methods: Sequence[str],
        options: EstimatorOptions,
        tolerance: float,
        reference_seed: int,
        progress: Progress | None,
    ) -> None:
        self._explainer, self._methods, self._options = explainer, methods, options
        self._tolerance, self._reference_seed, self._progress = tolerance, reference_seed, progress
        self._distances: list[Distance] = []
        self._reference_errors: list[float] = []
        self._values: dict[tuple[str, str], list[Tensor]] = {}
        self._left_out: dict[str, None] = {}
        self._references: dict[str, None] = {}
        self._costs: dict[str, None] = {}
        self._notes: dict[str, None] = {}
        self._messages: set[str] = set()
        self._precision_errors: dict[str, list[float]] = {}

    def add(self, batch: Batch, utility: str) -> None:
        """Measure all methods on the images of a batch, with one utility."""
        game = self._explainer.game(batch, utility=utility, players=self._options.players)
        if ignores_scale(game):
            warn_of_ignored_scale(game)
        if divides_nothing(game):
            warn_of_nothing_to_divide(game)
        limit = run_limit(game, self._options)
        if limit is not None and game.n_players > MOST_EXACT:
            check_runs(game, [METHODS["sampledshapley"]], limit)
        true = true_values(game, self._tolerance, self._reference_seed, self._progress, limit)
        self._references[describe_reference(game, true, self._tolerance, limit)] = None
        self._costs[game.coalition_cost] = None
        self._notes.update(dict.fromkeys(notes_of_images(true, batch)))
        self._reference_errors += true.uncertainty.tolist()
        by_method, curvature, missing = values_of_players(game, self._methods, self._options, self._messages)
        self._left_out.update(dict.fromkeys(missing))
        if self._explainer.precision != "full":
            self._compare_with_full_precision(game, batch, utility, by_method)
        times = time_methods(self._explainer, batch, utility, list(by_method), self._options)
        self._distances += distances_of(game, batch, true.values, by_method, curvature, times)
        for name, of_players in {"true": true.values, **by_method}.items():
            self._values.setdefault((utility, name), []).append(of_players.flatten().cpu())

    def _compare_with_full_precision(
        self, game: Game, batch: Batch, utility: str, by_method: Mapping[str, Float[Tensor, "b n"]]
    ) -> None:
        precise = self._explainer.in_full_precision().game(batch, game.target, utility, self._options.players)
        for name, of_players in values_of_players(precise, self._methods, self._options, self._messages)[0].items():
            errors = relative_error(by_method[name], of_players).tolist()
            self._precision_errors.setdefault(name, []).extend(errors)

    def result(self) -> Fidelity:
        """Return the results of all batches.

        Raises:
            OptionError: there were no images.
        """
        if not self._distances:
            raise OptionError("no images were given; expected at least one")
        return Fidelity(
            distances=tuple(self._distances),
            reference=" and ".join(self._references),
            reference_errors=tuple(self._reference_errors),
            values={key: torch.cat(parts) for key, parts in self._values.items()},
            left_out=tuple(self._left_out),
            coalition_cost="; ".join(self._costs),
            notes=tuple(self._notes),
            precision_errors={name: fmean(errors) for name, errors in self._precision_errors.items()},
        )


def values_of_players(
    game: Game, methods: Sequence[str], options: EstimatorOptions, messages: set[str]
) -> tuple[dict[str, Tensor], Float[Tensor, " b"] | None, list[str]]:
    """Return each method's values of players, the games' curvature, and the methods whose derivatives are missing.

    There is one warning for methods that are left out of a set for other reasons; `messages` are the warnings that were
    issued already.
    """
    choice = choose_methods(methods, game, options)
    curvature = None
    try:
        second = compute_bases(game, [SECOND], options)[SECOND]
    except DerivativeError:
        missing = [row.name for row in choice.rows if row.basis.needs_second_derivatives]
        choice = replace(choice, rows=tuple(row for row in choice.rows if row.name not in missing))
    else:
        missing = []
        curvature = measure_curvature(game, second) if isinstance(second, Tensor) else None
    results, refused = compute_allowed(game, choice, options)
    warn_of_left_out(choice.left_out | refused, messages)
    values = compute_values(game, [row for row in choice.rows if row.basis in results], results)
    return {name: player_values(game, v) for name, v in values.items()}, curvature, missing
