"""Measuring each method's distance from the true values of each image's game, and its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean, median
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import SECOND
from shapleycam.cams.compute import compute_bases, compute_values, measure_curvature, player_values
from shapleycam.cams.table import METHODS, expand_methods
from shapleycam.errors import DerivativeError, OptionError, ignore_warnings
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.game import Game
from shapleycam.game.players import Regions
from shapleycam.printable import printable_name
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.values._closed_form import closed_form
from shapleycam.values._exact import exact
from shapleycam.values._path import Nodes
from shapleycam.values._permutation import permutation
from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.progress import Progress
from shapleycam.values.scale import (
    divides_nothing,
    ignores_scale,
    warn_of_ignored_scale,
    warn_of_nothing_to_divide,
)
from shapleycam.values.shares import ShapleyValues
from shapleycam.wording import percent

MOST_EXACT = 12
"""Up to so many players the true values are the Shapley sum itself."""
_TIMED = 3
"""How often each method is timed, beside the plain pass; the median counts."""


@dataclass(frozen=True)
class Distance:
    """How far one method's values φ̂ are from the true values φ of one image.

    Attributes:
        image: its path or name.
        utility: the name of the utility.
        method: the name of the method.
        error: ‖φ̂ - φ‖ / ‖φ‖; None for a method that is not in units of the utility.
        spearman: Spearman's rank correlation of φ̂ and φ.
        gap: the efficiency gap |Σφ̂ - v(N)| / |v(N)|; None for a method that is not in units of the utility, and where
            v(N) is zero up to rounding.
        curvature: of the game, between 0 (a linear head) and 1; None without second derivatives.
        seconds: the time of an explanation by this method alone, an image's share of its batch.
        passes: the same in plain forward passes.

    Examples:
        >>> from shapleycam.fidelity import Distance
        >>> Distance("cat.jpg", "rest", "gradcam", 0.1, 0.9, 0.02, 0.3, seconds=0.5, passes=1.5).spearman
        0.9
    """

    image: str
    utility: str
    method: str
    error: float | None
    spearman: float
    gap: float | None
    curvature: float | None
    seconds: float
    passes: float


@dataclass(frozen=True)
class Fidelity:
    """All distances of a measurement.

    Attributes:
        distances: one for each image, utility and method.
        reference: how the true values were computed.
        reference_errors: their relative standard errors, image by image; zeros for exact values.
        values: by (utility, method) the method's values of all players of all images, one image after the other; by
            (utility, "true") the true ones.
        left_out: methods that this model has no second derivatives for.
        coalition_cost: what a coalition of the true values costs, and why, in words.
        notes: sentences on how the true values were sampled, and on what to doubt.
        precision_errors: by method, how far its values are from those in full precision, ‖φ - φ'‖ / ‖φ'‖ in the mean
            over images; empty where the explainer has full precision.

    Examples:
        >>> from shapleycam.fidelity import Fidelity
        >>> Fidelity((), "all coalitions", reference_errors=(), values={}, left_out=("shapleycam",)).left_out
        ('shapleycam',)
    """

    distances: tuple[Distance, ...]
    reference: str
    reference_errors: tuple[float, ...]
    values: Mapping[tuple[str, str], Float[Tensor, " all"]]
    left_out: tuple[str, ...]
    coalition_cost: str = ""
    notes: tuple[str, ...] = ()
    precision_errors: Mapping[str, float] = field(default_factory=dict)


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
) -> Fidelity:
    """Measure methods against the true Shapley values of the predicted class, for each image and utility.

    The true values are exact up to 12 players, and where they have a closed form; otherwise they are sampled to
    `tolerance`, from another seed than sampledshapley's own, so that it too is measured against samples that it did not
    draw.

    Args:
        explainer: of the model, at one layer.
        batches: the images, as `shapleycam.explaining.inputs.batch_of` makes them.
        utilities: names of utilities.
        methods: names of methods, or the sets "paper", "all" and "field".
        tolerance: ‖standard error‖ / ‖values‖ to which true values are sampled.
        players: None for each position by itself, or regions as in `shapleycam.values.EstimatorOptions`.
        nodes: gradients along the path, for the path methods.
        seed: of all methods that draw, with each image's content.
        progress: called while the true values are computed, as in `shapleycam.values.EstimatorOptions`.

    Raises:
        ShapleyCamError: as `Explainer.compare`; no images.

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
    options = EstimatorOptions(nodes=nodes, seed=seed, players=players)
    distances: list[Distance] = []
    errors: list[float] = []
    values: dict[tuple[str, str], list[Tensor]] = {}
    left_out: dict[str, None] = {}
    kinds: dict[str, None] = {}
    costs: dict[str, None] = {}
    notes: dict[str, None] = {}
    precision_errors: dict[str, list[float]] = {}
    for batch in batches:
        for utility in utilities:
            game = explainer.game(batch, utility=utility, players=players)
            if ignores_scale(game):
                warn_of_ignored_scale(game.layer, utility)
            if divides_nothing(game):
                warn_of_nothing_to_divide(game)
            true = true_values(game, tolerance, seed + 1, progress)
            kinds[_reference(game, true, tolerance)] = costs[game.coalition_cost] = None
            notes.update(dict.fromkeys(_notes(true, batch)))
            errors += true.uncertainty.tolist()
            by_method, curvature, missing = values_of_players(game, methods, options)
            left_out.update(dict.fromkeys(missing))
            if explainer.precision != "full":
                exact = explainer.in_full_precision().game(batch, game.target, utility, players)
                for name, of_players in values_of_players(exact, methods, options)[0].items():
                    precision_errors.setdefault(name, []).extend(relative_error(by_method[name], of_players).tolist())
            times = _time_methods(explainer, batch, utility, list(by_method), options)
            distances += _distances(game, batch, true.values, by_method, curvature, times)
            for name, of_players in {"true": true.values, **by_method}.items():
                values.setdefault((utility, name), []).append(of_players.flatten().cpu())
    if not distances:
        raise OptionError("no images were given; expected at least one")
    together = {key: torch.cat(parts) for key, parts in values.items()}
    return Fidelity(
        tuple(distances),
        " and ".join(kinds),
        tuple(errors),
        together,
        tuple(left_out),
        "; ".join(costs),
        tuple(notes),
        {name: fmean(of_images) for name, of_images in precision_errors.items()},
    )


def true_values(game: Game, tolerance: float, seed: int, progress: Progress | None = None) -> ShapleyValues:
    """Return the game's Shapley values: exact if it has a closed form or at most 12 players, otherwise sampled."""
    if game.n_players <= MOST_EXACT:
        return exact(game, progress=progress)
    return closed_form(game) or permutation(game, None, tolerance, seed, progress=progress)


def _notes(true: ShapleyValues, batch: Batch) -> Iterator[str]:
    """Yield the notes of a batch's images, with the name of the image where it is not of all of them."""
    for note in dict.fromkeys(note for of_image in true.notes for note in of_image):
        holders = [batch.sources[image].name for image, of_image in enumerate(true.notes) if note in of_image]
        yield note if len(holders) == len(true.notes) else f"{', '.join(map(printable_name, holders))}: {note}"


def _reference(game: Game, true: ShapleyValues, tolerance: float) -> str:
    """Return how true values were computed."""
    if true.stderr is not None:
        return f"permutation sampling to {percent(tolerance, 2)}"
    return "all coalitions" if game.n_players <= MOST_EXACT else "closed form"


def values_of_players(
    game: Game, methods: Sequence[str], options: EstimatorOptions
) -> tuple[dict[str, Tensor], Float[Tensor, " b"] | None, list[str]]:
    """Return each method's values by player, the games' curvature, and the methods whose derivatives are missing."""
    rows = [METHODS[name] for name in expand_methods(methods, game.n_players)]
    curvature = None
    try:
        second = compute_bases(game, [SECOND], options)[SECOND]
    except DerivativeError:
        missing = [row.name for row in rows if row.basis.needs_second_derivatives]
        rows = [row for row in rows if row.name not in missing]
    else:
        missing = []
        curvature = measure_curvature(game, second) if isinstance(second, Tensor) else None
    results = compute_bases(game, [row.basis for row in rows], options)
    values = compute_values(game, rows, results)
    return {name: player_values(game, v) for name, v in values.items()}, curvature, missing


def _distances(
    game: Game,
    batch: Batch,
    true: Float[Tensor, "b n"],
    by_method: Mapping[str, Float[Tensor, "b n"]],
    curvature: Float[Tensor, " b"] | None,
    times: Mapping[str, tuple[float, float]],
) -> Iterator[Distance]:
    has_worth = (game.grand.abs() > game.rounding).tolist()
    for name, values in by_method.items():
        precise = values.to(true.dtype)
        errors, ranks = relative_error(precise, true), rank_correlation(precise, true)
        gaps = efficiency_gap(precise, game.grand.to(true.dtype))
        in_units = METHODS[name].in_units
        seconds, passes = times[name]
        for index, source in enumerate(batch.sources):
            yield Distance(
                image=printable_name(str(source.photo)) if isinstance(source.photo, Path) else source.name,
                utility=game.utility.name,
                method=name,
                error=float(errors[index]) if in_units else None,
                spearman=float(ranks[index]),
                gap=float(gaps[index]) if in_units and has_worth[index] else None,
                curvature=None if curvature is None else float(curvature[index]),
                seconds=seconds / len(batch.sources),
                passes=passes,
            )


def _time_methods(
    explainer: Explainer, batch: Batch, utility: str, methods: Sequence[str], options: EstimatorOptions
) -> dict[str, tuple[float, float]]:
    """Return of each method the median seconds of explaining the batch, and the median ratio to a plain pass."""

    def plain() -> None:
        with isolated_copy(explainer.model) as model:
            batch.extra.call(model, batch.images)

    def explain(method: str) -> None:
        with ignore_warnings():
            explainer.compare_with(options, batch, [method], [None], utility)

    times = {}
    for method in methods:
        pairs = [(_seconds(plain), _seconds(partial(explain, method))) for _ in range(_TIMED)]
        times[method] = median(method_s for _, method_s in pairs), median(m / pass_s for pass_s, m in pairs)
    return times


def _seconds(call: Callable[[], None]) -> float:
    """Return the wall time until the work is done, also on a GPU, where calls return before it is."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start
