"""Making image summaries from explanations, and measuring how far the sum of values is from v(N)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.image_summary import ClassProbability, ClassSummary, ImageSummary, Uncertainty
from shapleycam.explanations.regions import is_unsure
from shapleycam.game.game import ROUNDINGS
from shapleycam.models.labels import class_name
from shapleycam.values.distance import efficiency_gap

_LIKELIEST = 5


def summarise_image(
    comparisons: Sequence[Mapping[str, Explanation]], index: int, model: str, files: Sequence[str] = ()
) -> ImageSummary:
    """Return the summary of one image; `comparisons` has the explanations by all methods for each explained class."""
    first = next(iter(comparisons[0].values()))
    costs = [e.coalition_cost for explanations in comparisons for e in explanations.values() if e.coalition_cost]
    return ImageSummary(
        top=top_classes(first, index),
        explained=tuple(_summarise_class(explanations, index) for explanations in comparisons),
        model=model,
        layer=first.layer,
        utility=first.utility_name,
        class_blind=tuple(name for name in comparisons[0] if METHODS[name].basis.is_class_blind),
        files=tuple(files),
        removal=first.removal,
        precision=first.precision,
        smooth=first.smooth,
        coalition_cost="; ".join(dict.fromkeys(costs)) or None,
    )


def top_classes(explanation: Explanation, index: int = 0) -> tuple[ClassProbability, ...]:
    """Return the five most likely classes of one image; empty if the output has no class scores."""
    probabilities = explanation.probabilities(index)
    if probabilities is None:
        return ()
    ranked = sorted(enumerate(probabilities.tolist()), key=lambda pair: -pair[1])[:_LIKELIEST]
    return tuple(ClassProbability(c, class_name(c, explanation.labels), p) for c, p in ranked)


def sum_of_values(explanation: Explanation) -> float:
    """Return the sum of the first image's values, including those of the prefix tokens."""
    prefix = 0.0 if explanation.prefix is None else float(explanation.prefix[0])
    return float(explanation.values[0].sum()) + prefix


def gap_of_values(explanation: Explanation, grand: float) -> float | None:
    """Return the efficiency gap |Σφ̂ - v(N)| / |v(N)| of the first image; `grand` is its v(N).

    It is None if the values have other units or are smoothed, and if v(N) is zero up to rounding, so that there is
    nothing to divide.
    """
    full = float(explanation.utility[0])
    rounding = ROUNDINGS * torch.finfo(explanation.utility.dtype).eps * max(1.0, abs(full), abs(full - grand))
    if not explanation.divides_score or abs(grand) <= rounding:
        return None
    total, divided = torch.tensor([[sum_of_values(explanation)], [grand]], dtype=torch.float64, device="cpu")
    return float(efficiency_gap(total[None], divided))


def _summarise_class(explanations: Mapping[str, Explanation], index: int) -> ClassSummary:
    first = next(iter(explanations.values()))
    return ClassSummary(
        number=int(first.target[index]),
        label=first.label(index),
        utility_value=float(first.utility[index]),
        curvature=None if first.curvature is None else float(first.curvature[index]),
        evidence=describe_evidence(first.values[index]),
        values={name: explanation.values[index].tolist() for name, explanation in explanations.items()},
        uncertainty={
            name: _uncertainty(e, e.stderr, index) for name, e in explanations.items() if e.stderr is not None
        },
        notes=tuple(dict.fromkeys(note for e in explanations.values() if e.notes for note in e.notes[index])),
        utility_removed=None if first.utility_removed is None else float(first.utility_removed[index]),
        regions={name: e.region_values(index) for name, e in explanations.items() if _divides_regions(e)},
    )


def _divides_regions(explanation: Explanation) -> bool:
    """Return whether regions are a method's players; methods with a spread are computed cell by cell in any case."""
    return explanation.regions is not None and METHODS[explanation.method].spread is None


def _uncertainty(explanation: Explanation, errors: Tensor, index: int) -> Uncertainty:
    """Return the uncertainty of one image's values; the players are regions if there are any, else cells."""
    values, stderr = explanation.values[index], errors[index]
    regions = explanation.region_values(index)
    if regions:
        of_players, of_errors = (
            torch.tensor(numbers, dtype=torch.float32, device="cpu")
            for numbers in ([each.value for each in regions], [each.stderr for each in regions])
        )
    else:
        of_players, of_errors = values, stderr
    size, error = of_players.norm(), of_errors.norm()
    return Uncertainty(
        relative=0.0 if size == 0 and error == 0 else float(error / size),
        not_sure=float(is_unsure(of_players, of_errors).float().mean()),
        stderr=stderr.tolist(),
    )
