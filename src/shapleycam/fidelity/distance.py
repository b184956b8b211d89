"""Distance of each method from the true values of an image's game, and all that a measurement gives."""

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


def distances_of(
    game: Game,
    batch: Batch,
    true: Float[Tensor, "b n"],
    by_method: Mapping[str, Float[Tensor, "b n"]],
    curvature: Float[Tensor, " b"] | None,
    times: Mapping[str, tuple[float, float]],
) -> Iterator[Distance]:
    """Yield the distance of each method from the true values, image by image; `times` are as of `time_methods`."""
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
