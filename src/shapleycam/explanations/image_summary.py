"""`ImageSummary`: a summary of one explained image, as JSON data or as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from shapleycam.explanations.regions import UNSURE, RegionValue, describe_region
from shapleycam.wording import number, percent

_LINEAR, _LITTLE, _SOME = 1e-6, 0.1, 0.3
"""Curvature below the first is called linear, below the second "little", below the third "some", else "much"."""
_STRONGEST = 3
"""Number of regions that the text names."""


@dataclass(frozen=True)
class ClassProbability:
    """One of an image's most likely classes, with its probability."""

    number: int
    label: str
    probability: float


@dataclass(frozen=True)
class Uncertainty:
    """The uncertainty of one method's values.

    Attributes:
        relative: ‖stderr‖ / ‖values‖, over the players (cells or regions).
        not_sure: the share of the players whose value is nearer to zero than two standard errors.
        stderr: the standard errors (h, w) of the cells, as nested lists.
    """

    relative: float
    not_sure: float
    stderr: list[Any]


@dataclass(frozen=True)
class ClassSummary:
    """The summary of one explained class: evidence and curvature by the first method, other fields by all methods."""

    number: int
    label: str
    utility_value: float
    curvature: float | None
    evidence: str
    values: Mapping[str, list[Any]]
    uncertainty: Mapping[str, Uncertainty]
    notes: tuple[str, ...] = ()
    """Sentences from all methods on how values were estimated and on their limits."""
    utility_removed: float | None = None
    """The utility of an image whose content was removed completely, at layer "input"."""
    regions: Mapping[str, list[RegionValue]] = field(default_factory=dict)
    """The values of regions by method, if regions are the players."""

    def as_data(self) -> dict[str, Any]:
        """Return the summary as a dictionary for JSON."""
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
    """A summary of one image's explanations; `class_blind` are the methods whose maps ignore the class."""

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
    """The cost of evaluating a coalition behind the layer, with the reason; None if no method evaluates coalitions."""
    class_blind: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes of all classes, each sentence once."""
        return tuple(dict.fromkeys(note for each in self.explained for note in each.notes))

    def as_data(self) -> dict[str, Any]:
        """Return the summary as a dictionary for JSON."""
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
        """Return lines of text by their titles, without the files; evidence and curvature are the first method's."""
        first = self.explained[0]
        return self._class_lines() | self._option_lines() | self._value_lines(first)

    def _class_lines(self) -> dict[str, str]:
        """Return the lines on the most likely and on the explained classes."""
        ranked = ", ".join(f"{each.label} {percent(each.probability, 1)}" for each in self.top)
        lines = {"top 5": ranked} if ranked else {}
        for place, each in enumerate(self.explained, start=1):
            in_brackets = "" if each.label == f"class {each.number}" else f" (class {each.number})"
            score = f"{each.label}{in_brackets}, {self.utility} {number(each.utility_value)}"
            lines["explained" if place == 1 else f"  and {place}"] = f"{score}; {each.evidence}"
        return lines

    def _option_lines(self) -> dict[str, str]:
        """Return the lines on the layer, and on options that are not the usual ones."""
        lines = {"layer": f"{self.layer} of {self.model}"}
        if self.removal != "zero":
            lines["removal"] = self.removal
        if self.precision != "full":
            lines["precision"] = f"{self.precision} before the layer"
        if self.smooth:
            lines["smoothed"] = f"by {', '.join(self.smooth)}: the values divide no score"
        return lines

    def _value_lines(self, first: ClassSummary) -> dict[str, str]:
        """Return the lines on the values of the first explained class: empty value, curvature, errors, regions."""
        lines: dict[str, str] = {}
        if first.utility_removed is not None:
            lines["empty"] = self._describe_empty(first)
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

    def _describe_empty(self, explained: ClassSummary) -> str:
        """Return a sentence on the utility of an image whose content was removed completely."""
        removed = explained.utility_removed or 0.0
        return (
            f"{self.utility} {number(removed)} where removal {self.removal} took everything: of "
            f"{number(explained.utility_value)} there is {number(explained.utility_value - removed)} to divide"
        )


def describe_curvature(curvature: float | None) -> str:
    """Return a phrase that says how much of the score a first-order method omits.

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
