"""Summary of an explained image: as data for machines, and as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shapleycam.explanations.regions import UNSURE, RegionValue, describe_region
from shapleycam.wording import number, percent

_LINEAR, _LITTLE, _SOME = 1e-6, 0.1, 0.3
"""Curvature below which the head is linear, or bent a little, or somewhat."""
_STRONGEST = 3
"""Regions that are written out."""


@dataclass(frozen=True)
class ClassProbability:
    """One of the likeliest classes of an image."""

    number: int
    label: str
    probability: float


@dataclass(frozen=True)
class Uncertainty:
    """Standard errors of one method's values: (h, w) as lists, ‖stderr‖ / ‖values‖, and the share that is not sure.

    That is of cells, or of regions where these are the players: nearer to zero than two standard errors.
    """

    relative: float
    not_sure: float
    stderr: list[Any]


@dataclass(frozen=True)
class ClassSummary:
    """One explained class of an image: evidence and curvature are the first method's, values are by method."""

    number: int
    label: str
    utility_value: float
    curvature: float | None
    evidence: str
    values: Mapping[str, list[Any]]
    uncertainty: Mapping[str, Uncertainty]
    notes: tuple[str, ...] = ()
    """On how values were estimated, and on what to doubt, of all methods."""
    utility_removed: float | None = None
    """Of an image of which everything was removed, at layer "input"."""
    regions: Mapping[str, list[RegionValue]] = field(default_factory=dict)
    """The values of regions by method, where regions are the players."""

    def as_data(self) -> dict[str, Any]:
        """Return the summary as JSON has it."""
        return {
            "class": self.number,
            "label": self.label,
            "utility_value": self.utility_value,
            "curvature": self.curvature,
            "evidence": self.evidence,
            "values": dict(self.values),
            "uncertainty": {name: dict(vars(each)) for name, each in self.uncertainty.items()},
            "notes": list(self.notes),
            "utility_removed": self.utility_removed,
            "regions": {name: [asdict(region) for region in regions] for name, regions in self.regions.items()},
        }


@dataclass(frozen=True)
class ImageSummary:
    """What an explanation says of one image; `class_blind` are the methods that do not look at the class."""

    top: tuple[ClassProbability, ...]
    explained: tuple[ClassSummary, ...]
    model: str
    layer: str
    utility: str
    files: tuple[str, ...] = ()
    removal: str = "zero"
    precision: str = "full"
    smooth: tuple[str, ...] = ()
    coalition_cost: str | None = None
    """What a coalition costs behind the layer, and why; None where no method plays coalitions."""
    class_blind: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what is noted of any of the classes, each sentence once."""
        return tuple(dict.fromkeys(note for each in self.explained for note in each.notes))

    def as_data(self) -> dict[str, Any]:
        """Return the summary as JSON has it."""
        return {
            "top": [{"class": c.number, "label": c.label, "probability": c.probability} for c in self.top],
            "explained": [each.as_data() for each in self.explained],
            "model": self.model,
            "layer": self.layer,
            "utility": self.utility,
            "removal": self.removal,
            "precision": self.precision,
            "smooth": list(self.smooth),
            "coalition_cost": self.coalition_cost,
            "files": list(self.files),
            "class_blind": list(self.class_blind),
        }

    def lines(self) -> dict[str, str]:
        """Return the summary as words and values, without files; evidence and curvature are the first method's."""
        ranked = ", ".join(f"{each.label} {percent(each.probability, 1)}" for each in self.top)
        lines = {"top 5": ranked} if ranked else {}
        for place, each in enumerate(self.explained, start=1):
            in_brackets = "" if each.label == f"class {each.number}" else f" (class {each.number})"
            score = f"{each.label}{in_brackets}, {self.utility} {number(each.utility_value)}"
            lines["explained" if place == 1 else f"  and {place}"] = f"{score}; {each.evidence}"
        first = self.explained[0]
        lines["layer"] = f"{self.layer} of {self.model}"
        if self.removal != "zero":
            lines["removal"] = self.removal
        if self.precision != "full":
            lines["precision"] = f"{self.precision} before the layer"
        if self.smooth:
            lines["smoothed"] = f"by {', '.join(self.smooth)}: the values divide no score"
        if first.utility_removed is not None:
            lines["empty"] = self._empty_in_words(first)
        lines["curvature"] = describe_curvature(first.curvature)
        if self.class_blind:
            lines["class-blind"] = f"{', '.join(self.class_blind)}: the same map for any class or question"
        if first.uncertainty:
            lines["sampled"] = "; ".join(
                f"{name} to {percent(each.relative, 1)}, not sure of the sign of {percent(each.not_sure)} "
                f"of the {'regions' if first.regions.get(name) else 'cells'} "
                f"(nearer to zero than {number(UNSURE)} standard errors)"
                for name, each in first.uncertainty.items()
            )
        for name, regions in list(first.regions.items())[:1]:
            strongest = "; ".join(describe_region(region) for region in regions[:_STRONGEST])
            lines["strongest"] = f"of {len(regions)} regions by {name}: {strongest}"
        return lines

    def _empty_in_words(self, explained: ClassSummary) -> str:
        """Return what the model still makes of an image of which everything was removed."""
        removed = explained.utility_removed or 0.0
        return (
            f"{self.utility} {number(removed)} where removal {self.removal} took everything: of "
            f"{number(explained.utility_value)} there is {number(explained.utility_value - removed)} to divide"
        )


def describe_curvature(curvature: float | None) -> str:
    """Return in words how much of the score first order leaves out.

    Examples:
        >>> from shapleycam.explanations.image_summary import describe_curvature
        >>> describe_curvature(0.42)
        '0.42: much of the score is interaction between places, which first order leaves out'
    """
    if curvature is None:
        return "not available: no second derivative here"
    if curvature < _LINEAR:
        return "0.00: the head is linear here, second order equals first"
    strength = "little" if curvature < _LITTLE else "some" if curvature < _SOME else "much"
    return f"{curvature:.2f}: {strength} of the score is interaction between places, which first order leaves out"
