"""What `compare` does with its photograph: explain it by all methods, and draw the maps side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from shapleycam.cams.families import methods_by_family
from shapleycam.cli.boxes import outline
from shapleycam.drawing.figures import grouped_grid
from shapleycam.explaining.detection import Detection
from shapleycam.explaining.detector import Detector
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import batch_of
from shapleycam.explaining.photographs import prepare_photograph
from shapleycam.explanations.comparison import Comparison, group_by_map
from shapleycam.explanations.drawn_map import DrawnMap, drawn_numbers
from shapleycam.explanations.evidence import describe_evidence
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.figures import map_bar, photograph_panel
from shapleycam.explanations.pictures import overlay
from shapleycam.explanations.titles import figure_title, frame_note
from shapleycam.images import Box
from shapleycam.models.network import Transform
from shapleycam.printable import printable_name
from shapleycam.smoothing import Smooth
from shapleycam.values.options import EstimatorOptions
from shapleycam.wording import counted

_COLUMNS, _MOST_TOGETHER = 5, 10
"""Maps in a row, and the largest number of maps for which families share rows; with more, each family has its own."""


@dataclass(frozen=True)
class ComparedPhotograph:
    """One photograph explained by several methods, for one class or one box of a detector.

    Attributes:
        photo: the photograph's path.
        model: the model's name.
        comparison: one explanation for each method.
        detection: the explained box; None for a classifier.
    """

    photo: Path
    model: str
    comparison: Comparison
    detection: Detection | None = None

    @property
    def first(self) -> Explanation:
        """Return the first method's explanation; class, layer and utility are the same for all methods."""
        return next(iter(self.comparison.values()))

    @property
    def families(self) -> dict[str, list[str]]:
        """Return the methods by family, in the order of the families."""
        names = {family: {row.name for row in rows} for family, rows in methods_by_family().items()}
        groups = {family: [name for name in self.comparison if name in known] for family, known in names.items()}
        return {family: members for family, members in groups.items() if members}

    def same_maps(self, drawn: DrawnMap) -> dict[str, str]:
        """Return {method: first method with the same drawn map}, for each method that has the map of an earlier one."""
        names = [name for members in self.families.values() for name in members]
        groups = group_by_map({name: drawn_numbers(self.comparison[name], drawn) for name in names})
        return {name: group[0] for group in groups for name in group[1:]}

    def draw(self, drawn: DrawnMap, *, side_by_side: bool) -> Image.Image:
        """Return a figure of all maps; the title of a map that repeats another one has both methods' names."""
        same, first = self.same_maps(drawn), self.first
        panels = {
            name: (f"{name} = {same[name]}" if name in same else name, self._overlay(name, drawn))
            for members in self.families.values()
            for name in members
        }
        if len(panels) > _MOST_TOGETHER:
            groups = {family: [panels[name] for name in members] for family, members in self.families.items()}
        else:
            groups = {"": list(panels.values())}
        if side_by_side:
            photograph = photograph_panel(first, drawn)
            groups = {"": [photograph, *groups.get("", [])], **{key: each for key, each in groups.items() if key}}
        title = figure_title(self.photo.name, [first], counted(len(panels), "method"), self.model)
        note = frame_note(first, next(iter(panels.values()))[1].size, drawn.on)
        return grouped_grid(groups, _COLUMNS, title, [map_bar(list(self.comparison.values()), drawn)], note)

    def _overlay(self, name: str, drawn: DrawnMap) -> Image.Image:
        explanation = self.comparison[name]
        return outline(self.detection, explanation, overlay(explanation, drawn), drawn.on)

    def as_data(self, drawn: DrawnMap, file: str) -> dict[str, Any]:
        """Return the comparison as a dictionary for JSON, with the name of the figure's file."""
        comparison, first = self.comparison, self.first
        costs = [e.coalition_cost for e in comparison.values() if e.coalition_cost]
        sampling_notes = [note for e in comparison.values() if e.notes for note in e.notes[0]]
        return {
            "image": printable_name(str(self.photo)),
            **({} if self.detection is None else {"box": self.detection.as_data()}),
            "model": self.model,
            "utility": first.utility_name,
            "class": int(first.target[0]),
            "label": first.label(),
            "layer": first.layer,
            "removal": first.removal,
            "smooth": list(first.smooth),
            "file": file,
            "families": self.families,
            "same_map": self.same_maps(drawn),
            "evidence": {name: describe_evidence(explanation.values[0]) for name, explanation in comparison.items()},
            "coalition_cost": next(iter(costs), None),
            "notes": list(dict.fromkeys(sampling_notes)),
        }


@dataclass(frozen=True)
class ComparePhotograph:
    """A photograph, and the question about it: the methods, the class, and the smoothing."""

    photo: Path
    methods: list[str]
    target: str | None
    smooth: Smooth

    def by(self, explainer: Explainer, transform: Transform, options: EstimatorOptions) -> ComparedPhotograph:
        """Explain the photograph's class with an explainer."""
        batch = batch_of(self.photo, transform, explainer.model)
        (comparison,) = explainer.compare_with(options, batch, self.methods, [self.target], smooth=self.smooth)
        return ComparedPhotograph(self.photo, explainer.name, comparison)

    def by_box(
        self, detector: Detector, transform: Transform, box: int | Box, options: EstimatorOptions
    ) -> ComparedPhotograph:
        """Explain one box of the photograph with a detector.

        Raises:
            OptionError, TargetError: there is no such box or class.
        """
        image = prepare_photograph(self.photo, transform)
        detection = detector.choose(image, box, self.target)
        comparison = detector.compare(image, self.methods, detection, options=options, smooth=self.smooth)
        return ComparedPhotograph(self.photo, detector.name, comparison, detection)
