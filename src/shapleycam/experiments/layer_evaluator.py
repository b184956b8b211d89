"""`LayerEvaluator`: compute the rows of results of batches of images, for one model at one layer."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from shapleycam.errors import BlankHeatmapWarning, DerivativeError, ImageError, ModelError, ignore_warnings
from shapleycam.experiments.class_rule import ClassRule
from shapleycam.experiments.decoding import DecodedImage
from shapleycam.experiments.image_metadata import ImageMetadata
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.protocol import Protocol
from shapleycam.experiments.rows import LISTS, Row
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch, Target
from shapleycam.explaining.photographs import PreparedPhotograph, stack_photographs
from shapleycam.explaining.traced_batch import TracedBatch
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.kept_runs import KeptRuns, keeping_runs
from shapleycam.gpu_failures import describe_device_failure, is_out_of_memory, refuse_failed_gpu
from shapleycam.images import Source
from shapleycam.metrics.evaluator import MetricEvaluator
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.maps import is_constant
from shapleycam.metrics.table import needs_objects, required_quantities
from shapleycam.utilities import Utility, resolve_utility


@dataclass(frozen=True)
class LayerEvaluator:
    """Computes the rows of results for one model at one layer.

    Attributes:
        model: the model's name in the results.
        layer: the layer's name in the results.
        explainer: the explainer of the model at the layer.
        protocol: what is measured, and how.
        metadata: names, classes and annotations of the images.
        kept_runs: a cache of runs of the head for true Shapley values and sampling methods; None without one.
    """

    model: str
    layer: str
    explainer: Explainer
    protocol: Protocol
    metadata: ImageMetadata
    kept_runs: KeptRuns | None = None

    def evaluate(self, images: Sequence[DecodedImage]) -> list[Row]:
        """Return the rows of a batch; an image that cannot be explained has a single row, which says why.

        Raises:
            DerivativeError: the model has no derivative, which a method needs.
            OptionError: the protocol does not work with this model, or the GPU has failed.
        """
        try:
            return list(self._evaluate_together(images))
        except DerivativeError:  # caused by the model, not by an image
            refuse_failed_gpu()
            raise
        except (ImageError, ModelError, RuntimeError) as error:
            refuse_failed_gpu()
            is_full = is_out_of_memory(error)
            if not isinstance(error, (ImageError, ModelError)) and not is_full:
                raise
            if len(images) == 1:
                return [self.error_row(images[0], describe_device_failure(error) or str(error))]
        if is_full:
            gc.collect()  # frees copies of a model that are in reference cycles
        # An image fails, or the memory is too small for the batch. Halving finds the image in log(batch) steps, and
        # makes batches that are as large as the memory allows.
        half = len(images) // 2
        return [*self.evaluate(images[:half]), *self.evaluate(images[half:])]

    def to_batch(self, images: Sequence[DecodedImage]) -> Batch:
        """Return images as a batch for the model."""
        photographs = [
            PreparedPhotograph(image.image, Source(self.metadata.names[image.index], None, image.box), image.size)
            for image in images
        ]
        return stack_photographs(photographs, self.explainer.model)

    def trace(self, batch: Batch) -> Lazy[TracedBatch]:
        """Return the traced pass over a batch, which all utilities share; it is made when it is first needed.

        Smoothed maps are made from other passes. With smoothing, only the game uses the shared pass.
        """
        protocol = self.protocol
        methods, replay = () if protocol.smooth else protocol.methods, "game" in required_quantities(protocol.metrics)
        return Lazy(lambda: self.explainer.trace(batch, methods, resolve_utility(protocol.utilities[0]), replay=replay))

    def explain(
        self, batch: Batch, traced_batch: Lazy[TracedBatch], target: Target, utility: Utility
    ) -> dict[str, Explanation]:
        """Return the explanations of a batch by method; `traced_batch` is the result of `trace`."""
        protocol = self.protocol
        methods, options = protocol.methods, protocol.estimator_options
        if not protocol.smooth:
            return traced_batch().compare(methods, target, utility, options)
        [comparison] = self.explainer.compare_with(options, batch, methods, [target], utility, smooth=protocol.smooth)
        return comparison

    def error_row(self, image: DecodedImage, message: str) -> Row:
        """Return the row of an image that could not be read or explained."""
        return {**self._image_columns(image), "status": "error", "message": " ".join(message.split())}

    @property
    def _class_rule(self) -> ClassRule:
        return ClassRule(self.model, self.explainer, self.protocol, self.metadata)

    def _evaluate_together(self, images: Sequence[DecodedImage]) -> Iterator[Row]:
        """Yield the rows of a batch from one trace, which all utilities, methods and metrics share."""
        batch = self.to_batch(images)
        images, batch, excluded = self._apply_class_rule(images, batch)
        yield from excluded
        if not images:
            return
        traced_batch, target = self.trace(batch), self._class_rule.labelled_classes(images, batch)
        for utility in map(resolve_utility, self.protocol.utilities):
            yield from self._rows_of_utility(utility, batch, traced_batch, target, images)

    def _rows_of_utility(
        self,
        utility: Utility,
        batch: Batch,
        traced_batch: Lazy[TracedBatch],
        target: Int[Tensor, " b"] | None,
        images: Sequence[DecodedImage],
    ) -> Iterator[Row]:
        """Yield a row for each method and image."""
        protocol = self.protocol
        with ignore_warnings(BlankHeatmapWarning), keeping_runs(self.kept_runs):  # blank maps are noted in the rows
            explanations = self.explain(batch, traced_batch, target, utility)
        first, explanation = next(iter(explanations.items()))
        metrics = self._metric_evaluator(utility, batch, traced_batch, explanations, images)
        # Other quantities must not use the cache: some change the model's weights, which are not part of its keys.
        if "true_values" in metrics.needed:
            with keeping_runs(self.kept_runs):
                metrics.quantity("true_values", first)
        of_image = {
            "utility": [utility.name] * len(images),
            "target": explanation.target.tolist(),
            "probability": metrics.quantity("score", first).double().tolist(),
        }
        lists = [name for name in LISTS if name in required_quantities(protocol.metrics)]
        for method in explanations:
            columns = {
                **of_image,
                **{name: metrics.metric(name, method).double().tolist() for name in protocol.metrics},
                **{name: metrics.quantity(name, method).tolist() for name in lists},
                "message": _remarks(metrics, method),
            }
            for position, image in enumerate(images):
                values = {name: column[position] for name, column in columns.items()}
                yield {**self._image_columns(image), **values, "method": method, "status": "ok"}

    def _metric_evaluator(
        self,
        utility: Utility,
        batch: Batch,
        traced_batch: Lazy[TracedBatch],
        explanations: dict[str, Explanation],
        images: Sequence[DecodedImage],
    ) -> MetricEvaluator:
        """Return the evaluator of the metrics of a batch's explanations."""
        protocol, explanation = self.protocol, next(iter(explanations.values()))
        explained_batch = ExplainedBatch(
            self.explainer,
            batch.images,
            explanation.target,
            utility,
            utility.name,
            protocol.estimator_options,
            explanation.form,
            smooth=protocol.smooth,
        )
        return MetricEvaluator(
            explained_batch,
            explanations,
            protocol.metrics,
            protocol.options,
            self._object_masks(images, explanation),
            lambda: traced_batch().game(explanation.target, utility, protocol.players),
        )

    def _image_columns(self, image: DecodedImage) -> Row:
        """Return the columns that are the same in all rows of an image."""
        return {
            "index": image.index,
            "image": self.metadata.names[image.index],
            "model": self.model,
            "layer": self.layer,
            "label": self.metadata.classes[image.index],
        }

    def _apply_class_rule(
        self, images: Sequence[DecodedImage], batch: Batch
    ) -> tuple[Sequence[DecodedImage], Batch, list[Row]]:
        """Return the images that the class rule includes, the same as a batch, and the rows of excluded images."""
        reasons = self._class_rule.exclusion_reasons(images, batch)
        if not any(reasons):
            return images, batch, []
        excluded = [
            {**self._image_columns(image), "status": "left out", "message": reason}
            for image, reason in zip(images, reasons, strict=True)
            if reason
        ]
        positions = [position for position, reason in enumerate(reasons) if not reason]
        sources = tuple(batch.sources[position] for position in positions)
        included = replace(batch, images=batch.images[positions], sources=sources)
        return [images[position] for position in positions], included, excluded

    def _object_masks(self, images: Sequence[DecodedImage], explanation: Explanation) -> Bool[Tensor, "b n h w"] | None:
        """Return a mask for each object that the protocol uses; None if no metric needs masks.

        Images with fewer objects than others of the batch are padded with empty masks.
        """
        if self.metadata.annotations is None or not needs_objects(self.protocol.metrics):
            return None
        height, width = explanation.heatmap.shape[1:]
        masks = [
            self.metadata.object_masks(image, target, (height, width), self.protocol.objects)
            for image, target in zip(images, explanation.target.tolist(), strict=True)
        ]
        return pad_sequence(masks, batch_first=True).to(explanation.heatmap.device)


def _remarks(metrics: MetricEvaluator, method: str) -> list[str | None]:
    """Return a remark on each image's map if it is constant, otherwise None.

    A constant map has no correlation with any other map, so that its coherency is 0 by definition.
    """
    heatmap = metrics.explanations[method].heatmap
    remarks: list[str | None] = [None] * len(heatmap)
    if "kept_heatmap" in metrics.needed:
        for position in is_constant(metrics.quantity("kept_heatmap", method)).nonzero().flatten().tolist():
            remarks[position] = "a constant map of what its map keeps"
    for position in is_constant(heatmap).nonzero().flatten().tolist():
        remarks[position] = "a constant map"
    return remarks
