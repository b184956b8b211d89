"""`describe_ladder`: summarises a ladder in one sentence, by cost and correlation with the input's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from shapleycam.fidelity import LAYER_VALUES, InputDistance
from shapleycam.intervals import half_width
from shapleycam.wording import counted, measured_count

_VISIBLE = 0.005
"""Gains up to this are ignored, because correlations are printed with two decimals."""


class _Offer(NamedTuple):
    """The cost of one method at one layer in forward passes, and its corrected correlation for each image."""

    layer: str
    method: str
    passes: float
    by_image: Mapping[str, float]


def describe_ladder(distances: Sequence[InputDistance], input_passes: Sequence[float]) -> str:
    """Return a sentence with the cheapest values, and the more expensive values that are proven to be closer.

    Values are closer to the input's than others if their corrected Pearson correlation, averaged over images, is
    larger, and the 95% interval of the difference lies above 0. In the order of cost, each is compared with the last
    values that are in the sentence.

    Args:
        distances: the distances of all images, layers and methods.
        input_passes: the time of the input's own values for each image, in plain forward passes.

    Examples:
        >>> from shapleycam.bridge.sentence import describe_ladder
        >>> from shapleycam.fidelity import InputDistance
        >>> distances = [
        ...     InputDistance(image, "rest", layer, "shapley values", 0.5, 0.1, 0.8, near + extra, 0.7, 0.8, passes)
        ...     for image, extra in {"a": 0.0, "b": 0.02}.items()
        ...     for layer, near, passes in (("bn2", 0.69, 1.1), ("blocks.4", 0.9, 6.0))
        ... ]
        >>> print(describe_ladder(distances, [1900.0, 2100.0]))
        By price: the Shapley values of bn2 buy a correlation of 0.70 ± 0.13 with the input's for 1.1 forward passes;
        the Shapley values of blocks.4 buy 0.91 ± 0.13 for 6; the input's own take 2,000.
    """
    offers = sorted(_offers(distances), key=lambda offer: offer.passes)
    if not offers:
        return "No correlation with the input's values is resolved above their noise: allow more runs."
    images = len({distance.image for distance in distances})
    mentioned = [offers[0]]
    for offer in offers[1:]:
        if _is_closer(offer, mentioned[-1]):
            mentioned.append(offer)
    clauses = [_clause(offer, is_first=index == 0) for index, offer in enumerate(mentioned)]
    if images == 1:
        clauses.append("one photograph is not enough to compare layers: give several")
    elif len(mentioned) == 1 and len(offers) > 1:
        clauses.append(f"{counted(images, 'photograph')} do not prove any more expensive values to be closer")
    clauses.append(f"the input's own take {measured_count(fmean(input_passes))}")
    return f"By price: {'; '.join(clauses)}."


def _offers(distances: Sequence[InputDistance]) -> list[_Offer]:
    groups: dict[tuple[str, str], list[InputDistance]] = {}
    for distance in distances:
        groups.setdefault((distance.layer, distance.method), []).append(distance)
    offers = [
        _Offer(
            *names,
            fmean(d.passes for d in group),
            {d.image: d.pearson_corrected for d in group if d.pearson_corrected is not None},
        )
        for names, group in groups.items()
    ]
    return [offer for offer in offers if offer.by_image]


def _is_closer(offer: _Offer, before: _Offer) -> bool:
    """Return whether an offer is significantly closer to the input's values than another, over the images of both."""
    gains = [figure - before.by_image[image] for image, figure in offer.by_image.items() if image in before.by_image]
    return len(gains) > 1 and fmean(gains) > max(_VISIBLE, half_width(stdev(gains), len(gains)))


def _clause(offer: _Offer, *, is_first: bool) -> str:
    figures = list(offer.by_image.values())
    half = f" ± {half_width(stdev(figures), len(figures)):.2f}" if len(figures) > 1 else ""
    figure = f"{fmean(figures):.2f}{half}"
    is_layer = offer.method == LAYER_VALUES
    subject = f"the Shapley values of {offer.layer}" if is_layer else f"{offer.method} at {offer.layer}"
    verb = "buy" if is_layer else "buys"
    if is_first:
        passes = measured_count(offer.passes, "forward pass")
        return f"{subject} {verb} a correlation of {figure} with the input's for {passes}"
    return f"{subject} {verb} {figure} for {measured_count(offer.passes)}"
