"""What `explain` does to a batch of photographs, in two steps that any engine can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

from PIL import Image
from torch import Tensor

from shapleycam.drawing.figures import grid
from shapleycam.errors import ImageError
from shapleycam.experiments.lazy import Lazy
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target, prepared, stacked
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.explanations.summary import ImageSummary, summarise_image
from shapleycam.images import Source
from shapleycam.models.network import Transform


@dataclass(frozen=True)
class Photograph:
    """What is to be explained, and what its files are called."""

    path: Path
    stem: str


@dataclass(frozen=True)
class Explained:
    """What became of a photograph: its summary, and the files to write; or an error."""

    path: Path
    summary: ImageSummary | None
    files: dict[Path, bytes]
    error: str | None = None


Read: TypeAlias = "tuple[list[tuple[Photograph, tuple[Tensor, Source]]], list[Explained]]"
"""Photographs as the network takes them, and those that cannot be read."""


@dataclass(frozen=True)
class Reading:
    """The first step, which needs no model."""

    transform: Transform

    def __call__(self, photographs: Sequence[Photograph]) -> Read:
        """A batch, and what is not in it."""
        good, bad = [], []
        for one in photographs:
            try:
                good.append((one, prepared(one.path, str(one.path), self.transform)))
            except ImageError as error:
                bad.append(Explained(one.path, None, {}, str(error)))
        return good, bad


@dataclass(frozen=True)
class Explaining:
    """The second step; `explainer` and all that is the same for every batch."""

    explainer: Lazy[Explainer]
    methods: list[str]
    target: str | None
    classes: int
    how: dict[str, Any]
    out: Path
    view: Literal["photo", "input"] | None
    save: bool

    def __call__(self, read: Read) -> Iterator[Explained]:
        """Each photograph of a batch."""
        good, bad = read
        yield from bad
        if not good:
            return
        explainer = self.explainer()
        found = self._explained(explainer, stacked([image for _, image in good], explainer.model))
        for index, (one, _) in enumerate(good):
            files: dict[Path, bytes] = {}
            for name in found[0]:
                files |= self._files([f[name] for f in found], index, one.stem, explainer.name)
            yield Explained(
                one.path, summarise_image(found, index, explainer.name, [str(file) for file in files]), files
            )

    def _explained(self, explainer: Explainer, batch: Batch) -> list[Comparison]:
        """By all methods, for each class that is to be explained."""
        targets: list[Target] | int = [self.target] if self.target is not None or self.classes == 1 else self.classes
        return explainer.compare_each(batch, self.methods, targets, curvature=True, **self.how)

    def _files(self, found: Sequence[Explanation], index: int, stem: str, model: str) -> dict[Path, bytes]:
        """The picture of one method, and its numbers if they are asked for."""
        name = f"{stem}_{found[0].method}"
        picture, file = self._picture(found, index, model), BytesIO()
        picture.save(file, format="PNG")
        files = {self.out / f"{name}.png": file.getvalue()}
        if self.save:
            for e in found:
                of_class = "" if e is found[0] else f"_{int(e.target[index])}"
                numbers = BytesIO()
                e[index].write(numbers)
                files[self.out / f"{name}{of_class}.npz"] = numbers.getvalue()
        return files

    def _picture(self, found: Sequence[Explanation], index: int, model: str) -> Image.Image:
        if len(found) == 1 and found[0].stderr is None:
            return found[0].overlay(index, on=self.view)
        panels = [panel for e in found for panel in self._panels(e, index)]
        return grid(panels, columns=4, caption=f"{found[0].method}, {model}, layer {found[0].layer}")

    def _panels(self, e: Explanation, index: int) -> list[tuple[str, Image.Image]]:
        """The heatmap, and beside sampled values where they are not sure."""
        panels = [(_title(e, index), e.overlay(index, on=self.view))]
        if e.uncertain is not None:
            share = float(e.uncertain[index].float().mean())
            panels.append((f"grey: error above value, {share:.0%}", e.overlay(index, on=self.view, kind="uncertain")))
        return panels


def _title(explanation: Explanation, index: int) -> str:
    probabilities = explanation.probabilities(index)
    label = explanation.label(index)
    return label if probabilities is None else f"{label} {float(probabilities[explanation.target[index]]):.0%}"
