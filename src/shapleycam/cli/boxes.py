"""The option `--box`: parsing it, explaining a box of each photograph, and drawing the box's outline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from shapleycam.cli.explaining import ExplainPhotographs, Photograph, PhotographResult, ReadBatch
from shapleycam.cli.outlines import with_outlines
from shapleycam.drawing.boxes import draw_box
from shapleycam.errors import ImageError, OptionError, TargetError
from shapleycam.explaining.detection import Detection, check_corners
from shapleycam.explaining.detector import Detector
from shapleycam.explaining.photographs import PreparedPhotograph
from shapleycam.explanations.drawn_map import DrawnMap, Ground
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import summarise_image
from shapleycam.images import Box
from shapleycam.printable import printable_text


def parse_box(text: str | None) -> int | Box | None:
    """Return the number or the corners in a text given as `--box`; None if it was not given.

    Raises:
        OptionError: the text is neither.

    Examples:
        >>> parse_box("2"), parse_box("10,20,30.5,40")
        (2, (10.0, 20.0, 30.5, 40.0))
    """
    if text is None:
        return None
    if text.strip().isdecimal():
        return int(text)
    try:
        return check_corners([float(edge) for edge in text.split(",")])
    except (ValueError, OptionError):
        raise OptionError(
            f"--box {text}: expected the number of a box, from 0 on, or x0,y0,x1,y1 in pixels of the photograph with "
            "x0 < x1 and y0 < y1"
        ) from None


@dataclass(frozen=True)
class ExplainBoxes(ExplainPhotographs):
    """The second step for a detector: explains one box of each photograph; `explainer` returns a `Detector`."""

    box: int | Box
    detection: Detection | None = None
    """The chosen box, whose outline is drawn; None before it is chosen."""

    def __call__(self, batch: ReadBatch) -> Iterator[PhotographResult]:
        """Explain one box of each photograph in a batch, and yield the results."""
        images, failures = batch
        yield from failures
        if not images:
            return
        detector: Detector = self.explainer()
        for photograph, image in images:
            yield self._explain(detector, photograph, image)

    def _explain(self, detector: Detector, photograph: Photograph, image: PreparedPhotograph) -> PhotographResult:
        """Return the result of one photograph, which is an error if the photograph has no such box."""
        try:
            with self.timings.of("detecting"):
                detection = detector.choose(image, self.box, self.target)
            options = with_outlines(self.estimator_options, self.outlines, photograph.path, detector.preprocess)
        except (OptionError, TargetError, ImageError) as error:
            return PhotographResult(photograph.path, None, {}, f"{image.source.name}: {error}")
        with self.timings.of("explaining"):
            comparison = detector.compare(
                image, self.methods, detection, options=options, curvature=True, smooth=self.smooth
            )
        named = Photograph(photograph.path, f"{photograph.stem}_box{detection.number}")
        outlining, files = replace(self, detection=detection), dict[Path, bytes]()
        for explanation in comparison.values():
            files |= outlining.files_of([explanation], 0, named, detector.name)
        summary = summarise_image([comparison], 0, detector.name, [printable_text(str(file)) for file in files])
        return PhotographResult(photograph.path, summary, files, detection=detection)

    def _panels(self, explanation: Explanation, drawn: DrawnMap) -> list[tuple[str, Image.Image]]:
        """Return the panels, with the box's outline drawn on each picture."""
        panels = super()._panels(explanation, drawn)
        return [(title, outline(self.detection, explanation, picture, self.drawn.on)) for title, picture in panels]


def outline(detection: Detection | None, explanation: Explanation, picture: Image.Image, ground: Ground) -> Image.Image:
    """Return an overlay with the outline of a detected box, or the overlay unchanged if there is no box.

    The overlay is on the whole photograph or on the network's input; the box's coordinates are converted for the input.
    """
    place = explanation.sources[0].box
    if detection is None:
        return picture
    if place is None or explanation.is_over_photo(0, ground):
        return detection.draw(picture)
    left, top, right, bottom = place
    x_scale, y_scale = picture.width / (right - left), picture.height / (bottom - top)
    x_low, y_low, x_high, y_high = detection.box
    moved = (x_low - left) * x_scale, (y_low - top) * y_scale, (x_high - left) * x_scale, (y_high - top) * y_scale
    return draw_box(picture, moved, picture.size)
