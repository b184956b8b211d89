"""When a map should not be trusted, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from shapleycam.cams.heatmaps import is_blank
from shapleycam.cams.table import METHODS
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import gap_of_values, sum_of_values

_GAP, _BENT, _UNLIKELY, _UNSURE = 0.15, 0.3, 0.05, 0.25
"""From which on a gap, a curvature, a class and a share of cells are worth a word."""


def caveats(e: Explanation, grand: float) -> Iterator[str]:
    """Yield what speaks against reading the map of one image as it looks."""
    method = METHODS[e.method]
    if e.remark is not None:
        yield f"{e.remark[0].upper()}{e.remark[1:]}."
    if method.is_baseline:
        yield "This map is random, for comparison: it says nothing of the photograph."
    if bool(is_blank(e.values)[0]):
        yield "The map is blank: no place speaks for this class. Look at the signed map, or ask for another class."
    if not method.in_units:
        yield "The numbers of this method have no units: read them as an order of places, not as shares."
    gap, curvature = gap_of_values(e, grand), None if e.curvature is None else float(e.curvature[0])
    if gap is not None and gap > _GAP:
        yield (
            f"The values sum to {sum_of_values(e):.3g}, and there is {grand:.3g} to divide ({gap:.0%} off): trust the "
            "order of the places more than their shares. pathcam-h and sampledshapley come closer."
        )
    if method.basis.taylor_order == 1 and curvature is not None and curvature > _BENT:
        yield (
            f"Much of this score is interaction between places (curvature {curvature:.2f}), which this method leaves "
            "out. Compare it with sampledshapley."
        )
    if e.uncertain is not None and float(e.uncertain[0].float().mean()) > _UNSURE:
        share = float(e.uncertain[0].float().mean())
        yield f"On {share:.0%} of the places not even the sign is sure: their values are small beside their errors."
    probabilities = e.probabilities(0)
    if probabilities is not None and float(probabilities[e.target[0]]) < _UNLIKELY:
        found = float(probabilities[e.target[0]])
        yield f"The model gives this class only {found:.1%}: the map shows what little speaks for it."
