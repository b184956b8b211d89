"""Caveats: sentences for visitors about why a map may mislead, and which methods are better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from shapleycam.cams.heatmaps import is_blank
from shapleycam.cams.table import DEFAULT_METHOD, METHODS
from shapleycam.drawing.map_style import Sign
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import gap_of_values, sum_of_values
from shapleycam.wording import number, percent

GAP, _BENT, _UNLIKELY, _UNSURE = 0.15, 0.3, 0.05, 0.25
"""Thresholds of caveats: a gap, a curvature, the probability of a class, and a share of cells."""
_CLOSER = ("pathcam-h", "sampledshapley")
"""Methods whose values have a sum closer to the total; the second samples Shapley values."""


@dataclass(frozen=True)
class Caveat:
    """A sentence, and better methods, which the page offers as links."""

    text: str
    methods: tuple[str, ...] = field(default=())


def caveats(e: Explanation, grand: float, sign: Sign = "positive") -> Iterator[Caveat]:
    """Yield the caveats for the map of one image; `sign` is the sign of the values that the heatmap shows."""
    method = METHODS[e.method]
    if e.remark is not None:
        yield Caveat(f"{e.remark[0].upper()}{e.remark[1:]}.")
    if method.is_baseline:
        yield Caveat("This map is random, for comparison: it says nothing of the photograph.", (DEFAULT_METHOD,))
    elif method.basis.is_class_blind:
        yield Caveat("This method does not look at the class: its map is the same for any other.", ("gradcam",))
    if bool(is_blank(-e.values if sign == "negative" else e.values)[0]):
        yield _of_blank(sign)
    if e.smooth:
        yield Caveat(
            f"The map is smoothed by {', '.join(e.smooth)}: its values divide no score, so read them as an order of "
            "places."
        )
    elif not method.in_units and not method.is_baseline:
        yield Caveat(
            "The numbers of this method have no units: read them as an order of places, not as shares of the score.",
            ("shapleycam-h",),
        )
    yield from _of_sums(e, grand)
    regions = drawn_regions(e, DrawnMap(kind="values"))
    if regions is not None and regions.count_unsure:
        yield Caveat(
            f"Of {regions.count_unsure} of the {regions.count} regions not even the sign is sure: they are grey in the "
            "signed map, nearer to zero than two standard errors."
        )
    elif e.uncertain is not None and float(e.uncertain[0].float().mean()) > _UNSURE:
        share = percent(float(e.uncertain[0].float().mean()))
        yield Caveat(
            f"On {share} of the places not even the sign is sure: their values are nearer to zero than two standard "
            "errors."
        )
    probabilities = e.probabilities(0)
    if probabilities is not None and float(probabilities[e.target[0]]) < _UNLIKELY:
        likely = percent(float(probabilities[e.target[0]]), 1)
        yield Caveat(f"The model gives this class only {likely}: the map shows what little speaks for it.")


def _of_blank(sign: Sign) -> Caveat:
    """Return the caveat for a blank heatmap of this sign."""
    if sign == "negative":
        return Caveat("The map is blank: no place speaks against this class. Choose another sign of the values.")
    return Caveat("The map is blank: no place speaks for this class. See the signed map, or choose another class.")


def _of_sums(e: Explanation, grand: float) -> Iterator[Caveat]:
    """Yield caveats about the sum of the values, and about the interaction between places."""
    basis = METHODS[e.method].basis
    gap, curvature = gap_of_values(e, grand), None if e.curvature is None else float(e.curvature[0])
    if gap is not None and gap > GAP:
        yield Caveat(
            f"The values sum to {number(sum_of_values(e), 3)}, and there is {number(grand, 3)} to divide "
            f"({percent(gap)} off): trust the order of the places more than their shares.",
            tuple(name for name in _CLOSER if name != e.method),
        )
    if basis.taylor_order == 1 and curvature is not None and curvature > _BENT:
        yield Caveat(
            f"Much of this score belongs to places only together (curvature {curvature:.2f}), which this method "
            "leaves out.",
            ("sampledshapley",),
        )
