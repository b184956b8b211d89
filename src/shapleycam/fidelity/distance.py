"""`Distance` of a method's values from the true values of an image, and `Fidelity`, the result of a measurement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.explaining.inputs import Batch
from shapleycam.game import Game
from shapleycam.printable import printable_name
from shapleycam.values.distance import efficiency_gap, rank_correlation, relative_error


@dataclass(frozen=True)
class Distance:
    """The distance of one method's values φ̂ from the true values φ of one image.

    Attributes:
        image: the image's path or name.
        utility: the name of the utility.
        method: the name of the method.
        error: ‖φ̂ - φ‖ / ‖φ‖; None for a method whose values are not in units of the utility.
        spearman: Spearman's rank correlation of φ̂ and φ.
        gap: the efficiency gap |Σφ̂ - v(N)| / |v(N)|; None for a method whose values are not in units of the utility,
            or if v(N) is zero up to rounding.
        curvature: the curvature of the game, between 0 (a linear head) and 1; None without second derivatives.
        seconds: the time of an explanation by only this method, per image of the batch.
        passes: the time of an explanation by only this method, in plain forward passes.

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
    """Result of `fidelity`.

    Attributes:
        distances: one for each image, utility and method.
        reference: how the true values were computed, in words.
        reference_errors: relative standard errors of the true values, for each image; zeros for exact values.
        values: for each (utility, method) the method's values of all players, concatenated over images; for
            (utility, "true") the true values.
        left_out: methods that need second derivatives that this model does not have.
        coalition_cost: the cost of a coalition for the true values, and the reason, in words.
        notes: sentences on how the true values were sampled, and on doubts about them.
        precision_errors: for each method, the relative distance ‖φ - φ'‖ / ‖φ'‖ of its values φ from those in full
            precision φ', averaged over images; empty if the explainer has full precision.

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


def distances_of(
    game: Game,
    batch: Batch,
    true: Float[Tensor, "b n"],
    by_method: Mapping[str, Float[Tensor, "b n"]],
    curvature: Float[Tensor, " b"] | None,
    times: Mapping[str, tuple[float, float]],
) -> Iterator[Distance]:
    """Yield the distance from the true values for each method and image; `times` is the result of `time_methods`."""
    has_grand_value = (game.grand.abs() > game.rounding).tolist()
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
                gap=float(gaps[index]) if in_units and has_grand_value[index] else None,
                curvature=None if curvature is None else float(curvature[index]),
                seconds=seconds / len(batch.sources),
                passes=passes,
            )
