"""The two steps of `explain` for a batch of photographs, reading and explaining, which any engine can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from shapleycam.cli.outlines import Outlines, with_outlines
from shapleycam.cli.timings import Timings
from shapleycam.drawing.figures import grid
from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.lazy import Lazy
from shapleycam.explaining.detection import Detection
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explaining.photographs import PreparedPhotograph, prepare_photograph, stack_photographs
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.drawn_map import DrawnMap, drawn_regions, resolve_kind
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.figures import map_bar, map_title, photograph_panel
from shapleycam.explanations.image_summary import ImageSummary
from shapleycam.explanations.pictures import overlay
from shapleycam.explanations.summary import summarise_image
from shapleycam.explanations.titles import class_title, figure_title, frame_note
from shapleycam.models.network import Transform
from shapleycam.output_names import class_part, question_part, variant_part
from shapleycam.printable import printable_text
from shapleycam.smoothing import Smooth
from shapleycam.values.options import EstimatorOptions
from shapleycam.wording import percent

_COMPRESSION = 3
"""Compression level of PNG files; it takes a third of the time of Pillow's default, for files that are 6% larger."""


@dataclass(frozen=True)
class Photograph:
    """A photograph to explain: its path, and the stem of the names of its output files."""

    path: Path
    stem: str


@dataclass(frozen=True)
class PhotographResult:
    """Result of explaining one photograph: its summary and the files to write, or an error."""

    path: Path
    summary: ImageSummary | None
    files: dict[Path, bytes]
    error: str | None = None
    detection: Detection | None = None
    """The explained box; None for a classifier."""


ReadBatch: TypeAlias = "tuple[list[tuple[Photograph, PreparedPhotograph]], list[PhotographResult]]"
"""The photographs with their preprocessed images, and the results of the photographs that cannot be read."""


@dataclass(frozen=True)
class ReadPhotographs:
    """The first step, which needs no model: reads photographs and preprocesses them."""

    transform: Transform
    timings: Timings

    def __call__(self, photographs: Sequence[Photograph]) -> ReadBatch:
        """Return a batch of preprocessed photographs."""
        images, failures = [], []
        for photograph in photographs:
            try:
                with self.timings.of("reading photographs"):
                    image = prepare_photograph(photograph.path, self.transform)
            except ImageError as error:
                failures.append(PhotographResult(photograph.path, None, {}, str(error)))
            else:
                images.append((photograph, image))
        return images, failures


@dataclass(frozen=True)
class ExplainPhotographs:
    """The second step: explains preprocessed photographs and draws maps. The fields are the same for every batch."""

    explainer: Lazy[Any]
    """Returns an `Explainer`; for `ExplainBoxes` a `Detector`."""
    methods: list[str]
    target: str | None
    classes: int
    """The number of most likely classes to explain if `target` is None."""
    against: str | None
    """The class that the explained one is compared with, as the user typed it."""
    estimator_options: EstimatorOptions
    smooth: Smooth
    out: Path
    drawn: DrawnMap
    side_by_side: bool
    """Whether to show the photograph without colours beside the maps."""
    save: bool
    timings: Timings
    outlines: Outlines | None
    """The annotations of the objects that are a photograph's players; then each batch must have one photograph."""

    def __call__(self, batch: ReadBatch) -> Iterator[PhotographResult]:
        """Explain a batch, and yield the result of each photograph."""
        images, failures = batch
        yield from failures
        if not images:
            return
        explainer: Explainer = self.explainer()
        first = images[0][0].path
        try:
            options = with_outlines(self.estimator_options, self.outlines, first, explainer.preprocess)
        except (ImageError, OptionError) as error:
            yield PhotographResult(first, None, {}, str(error))
            return
        batch_of_images = stack_photographs([image for _, image in images], explainer.model)
        comparisons = self._compare(explainer, batch_of_images, options)
        for index, (photograph, _) in enumerate(images):
            files: dict[Path, bytes] = {}
            for method in comparisons[0]:
                explanations = [comparison[method] for comparison in comparisons]
                files |= self.files_of(explanations, index, photograph, explainer.name)
            summary = summarise_image(comparisons, index, explainer.name, [printable_text(str(file)) for file in files])
            yield PhotographResult(photograph.path, summary, files)

    def _compare(self, explainer: Explainer, batch: Batch, options: EstimatorOptions) -> list[Comparison]:
        """Explain a batch by all methods, and return one comparison for each class to explain."""
        targets: list[Target] | int = [self.target] if self.target is not None or self.classes == 1 else self.classes
        with self.timings.of("finding the layer"):
            explainer.find_layer(batch)
        with self.timings.of("explaining"):
            return explainer.compare_with(options, batch, self.methods, targets, curvature=True, smooth=self.smooth)

    def files_of(
        self, explanations: Sequence[Explanation], index: int, photograph: Photograph, model: str
    ) -> dict[Path, bytes]:
        """Return one method's files for one photograph: the figure, and with `save` an NPZ file for each class."""
        method = explanations[0].method
        png = BytesIO()
        with self.timings.of("drawing"):
            picture = self._draw(explanations, index, photograph.path, model)
            picture.save(png, format="PNG", compress_level=_COMPRESSION)
        question = question_part(explanations, index, self.against)
        named = f"{method}{variant_part(explanations[0], self.drawn.chosen_sign)}"
        files = {self.out / f"{photograph.stem}_{question}_{named}.png": png.getvalue()}
        if self.save:
            for explanation in explanations:
                several = len(explanations) > 1
                target = int(explanation.target[index])
                part = class_part(target, explanation.label(index)) if several else question
                npz = BytesIO()
                explanation[index].write(npz)
                name = f"{photograph.stem}_{part}_{method}{variant_part(explanation)}.npz"
                files[self.out / name] = npz.getvalue()
        return files

    def _draw(self, explanations: Sequence[Explanation], index: int, photo: Path, model: str) -> Image.Image:
        """Return a figure of each class's map, and of its uncertain cells, with a title and a colour bar."""
        drawn, first = resolve_kind(explanations, replace(self.drawn, index=index)), explanations[0]
        panels = [panel for explanation in explanations for panel in self._panels(explanation, drawn)]
        if len(panels) == 1:
            # A single panel does not repeat the class, which is in the figure's title.
            panels = [(map_title(first, drawn) if self.side_by_side else "", panels[0][1])]
        if self.side_by_side:
            panels.insert(0, photograph_panel(first, drawn))
        note = frame_note(first, panels[0][1].size, drawn.on, index)
        title = figure_title(photo.name, explanations, first.method, model, index)
        return grid(panels, columns=4, title=title, bars=[map_bar(explanations, drawn)], note=note)

    def _panels(self, explanation: Explanation, drawn: DrawnMap) -> list[tuple[str, Image.Image]]:
        """Return the panel of the map; for sampled values also a panel of the cells whose sign is not certain.

        Uncertain regions need no panel, because they are grey in the map itself.
        """
        panels = [(class_title(explanation, drawn.index), overlay(explanation, drawn))]
        if explanation.uncertain is not None and drawn_regions(explanation, drawn) is None:
            share = float(explanation.uncertain[drawn.index].float().mean())
            picture = explanation.overlay(drawn.index, on=drawn.on, kind="uncertain")
            panels.append((f"grey: not sure, {percent(share)} of the cells", picture))
        return panels
