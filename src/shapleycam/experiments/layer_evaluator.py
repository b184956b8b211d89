"""One model at one layer, where batches of images become rows of results."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from shapleycam.cams.compute import EstimatorOptions
from shapleycam.errors import BlankHeatmapWarning, DerivativeError, ImageError, ModelError, OptionError
from shapleycam.experiments.datasets.annotations.base import Annotations
from shapleycam.experiments.datasets.classes import class_numbers
from shapleycam.experiments.datasets.dataset import Label
from shapleycam.experiments.datasets.regions import mask_of
from shapleycam.experiments.decoding import Decoded
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.rows import CURVES, Row
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, stacked
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.images import Source
from shapleycam.metrics.evaluator import MetricEvaluator
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.maps import constant
from shapleycam.metrics.table import required_quantities
from shapleycam.tracing.soundness import check_output
from shapleycam.utilities import Utility, resolve_utility


@dataclass(frozen=True)
class LayerEvaluator:
    """A model at one layer.

    `model` and `layer` are what rows call them; `names`, `labels` and `classes` are of the dataset's images, the last
    None where an image has no label that the model knows; `annotations` say where objects are.
    """

    model: str
    layer: str
    explainer: Explainer
    protocol: Protocol
    names: Sequence[str]
    labels: Sequence[Label]
    classes: Sequence[int | None]
    annotations: Annotations | None = None

    def rows(self, images: Sequence[Decoded]) -> list[Row]:
        """The rows of a batch: all in one go, or in halves where that is too much or one image cannot be explained."""
        try:
            return list(self._rows(images))
        except DerivativeError:  # of the model, not of an image
            raise
        except (ImageError, ModelError, torch.cuda.OutOfMemoryError) as error:
            if len(images) == 1:
                return [self.failed(images[0], str(error))]
        half = len(images) // 2
        return [*self.rows(images[:half]), *self.rows(images[half:])]

    def batch(self, images: Sequence[Decoded]) -> Batch:
        """Images as the model takes them."""
        sources = [Source(self.names[image.index], None, image.box) for image in images]
        return stacked(
            [(image.image, source) for image, source in zip(images, sources, strict=True)], self.explainer.model
        )

    def failed(self, image: Decoded, message: str) -> Row:
        """The row of an image that could not be read or explained."""
        return {**self._head(image), "status": "error", "message": " ".join(message.split())}

    def _rows(self, images: Sequence[Decoded]) -> Iterator[Row]:
        batch = self.batch(images)
        images, batch, left_out = self._chosen(images, batch)
        yield from left_out
        if not images:
            return
        protocol = self.protocol
        utilities = [resolve_utility(name) for name in protocol.utilities]
        plays = "game" in required_quantities(protocol.metrics)
        traced_batch = self.explainer.trace(batch, protocol.methods, utilities[0], replay=plays)
        target = self._target(images, batch)
        for utility in utilities:
            yield from self._of_utility(utility, traced_batch, target, images)

    def _of_utility(
        self, utility: Utility, traced_batch: TracedBatch, target: Int[Tensor, " b"] | None, images: Sequence[Decoded]
    ) -> Iterator[Row]:
        protocol = self.protocol
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BlankHeatmapWarning)  # the row says so
            found = traced_batch.compare(
                protocol.methods, target, utility, EstimatorOptions(**protocol.effort), protocol.players
            )
        first = next(iter(found.values()))
        effort = {**protocol.effort, "players": protocol.players}
        subject = ExplainedBatch(
            self.explainer, traced_batch.batch.images, first.target, utility, utility.name, effort, first.form
        )
        passes = MetricEvaluator(
            subject,
            found,
            protocol.metrics,
            protocol.options,
            self._objects(images, first.target, first.heatmap),
            lambda: traced_batch.game(first.target, utility, protocol.players),
        )
        heads = {"utility": utility.name, "target": first.target.tolist(), "probability": _score(passes)}
        for method in found:
            odd = _odd(passes, method)
            columns = {name: passes.metric(name, method).double().tolist() for name in protocol.metrics}
            curves = {
                name: passes.quantity(name, method).tolist()
                for name in CURVES
                if name in required_quantities(protocol.metrics)
            }
            for place, image in enumerate(images):
                each = {**heads, **columns, **curves, "message": odd}
                values = {name: value if isinstance(value, str) else value[place] for name, value in each.items()}
                yield {**self._head(image), **values, "method": method, "status": "ok"}

    def _head(self, image: Decoded) -> Row:
        index = image.index
        return {
            "index": index,
            "image": self.names[index],
            "model": self.model,
            "layer": self.layer,
            "label": self.classes[index],
        }

    def _chosen(self, images: Sequence[Decoded], batch: Batch) -> tuple[Sequence[Decoded], Batch, list[Row]]:
        """The images that the class rule keeps, and rows that say why others are left out."""
        reasons = self._reasons(images, batch)
        if not any(reasons):
            return images, batch, []
        left_out = [
            {**self._head(image), "status": "left out", "message": reason}
            for image, reason in zip(images, reasons, strict=True)
            if reason
        ]
        kept = [place for place, reason in enumerate(reasons) if not reason]
        fewer = replace(batch, images=batch.images[kept], sources=tuple(batch.sources[place] for place in kept))
        return [images[place] for place in kept], fewer, left_out

    def _reasons(self, images: Sequence[Decoded], batch: Batch) -> list[str | None]:
        if self.protocol.class_rule == "prediction":
            return [None] * len(images)
        labels = [self.classes[image.index] for image in images]
        unknown = [self._without_class(image.index) for image in images]
        if self.protocol.class_rule == "label":
            return [None if label is not None else missing for label, missing in zip(labels, unknown, strict=True)]
        utility = resolve_utility(self.protocol.utilities[0])
        scores = self.explainer.scores(batch, utility)
        if scores is None:
            raise OptionError(f"class rule 'correct': utility {utility.name!r} has no classes; use 'prediction'")
        check_output(scores, self.explainer.model)
        predicted = scores.argmax(1).tolist()
        return [
            None if label == one else missing if label is None else f"predicted {one}, labelled {label}"
            for label, one, missing in zip(labels, predicted, unknown, strict=True)
        ]

    def _without_class(self, index: int) -> str:
        """Why an image has no class to explain."""
        label = self.labels[index]
        return "it has no label" if label is None else f"its label {label!r} is no class of {self.model}"

    def _target(self, images: Sequence[Decoded], batch: Batch) -> Int[Tensor, " b"] | None:
        """The class of each image where it is the label; None for the prediction."""
        if self.protocol.class_rule == "prediction":
            return None
        return torch.tensor([self.classes[image.index] for image in images], device=batch.images.device)

    def _objects(
        self, images: Sequence[Decoded], target: Int[Tensor, " b"], heatmap: Tensor
    ) -> Bool[Tensor, "b h w"] | None:
        """Where the objects of each image are that the protocol asks for; nowhere in an image without annotation."""
        if self.annotations is None or "objects" not in required_quantities(self.protocol.metrics):
            return None
        masks = [self._mask(image, int(c), tuple(heatmap.shape[1:])) for image, c in zip(images, target, strict=True)]
        return torch.stack(masks).to(heatmap.device)

    def _mask(self, image: Decoded, target: int, size: tuple[int, ...]) -> Bool[Tensor, "h w"]:
        regions = (self.annotations.regions_of(self.names[image.index]) if self.annotations else None) or []
        if self.protocol.objects == "class":
            numbers = class_numbers([region.label for region in regions], self.explainer.labels, None)
            regions = [region for region, number in zip(regions, numbers, strict=True) if number == target]
        if image.box is None or image.size is None:
            raise OptionError(
                "where the network's crop lies in a photograph is not known, since preprocess= is not a "
                "shapleycam.Preprocess; give one, or leave the pointing metrics out"
            )
        return mask_of(regions, image.box, image.size, (size[0], size[1]))


def _odd(passes: MetricEvaluator, method: str) -> list[str | None]:
    """What is odd about each image's map: that it, or that of what it keeps, has no correlation with anything."""
    found: list[str | None] = [None] * len(passes.explanations[method].heatmap)
    if "kept_heatmap" in passes.needed:
        for place in constant(passes.quantity("kept_heatmap", method)).nonzero().flatten().tolist():
            found[place] = "a constant map of what its map keeps"
    for place in constant(passes.explanations[method].heatmap).nonzero().flatten().tolist():
        found[place] = "a constant map"
    return found


def _score(passes: MetricEvaluator) -> list[float]:
    return [float(score) for score in passes.quantity("score", next(iter(passes.explanations)))]
