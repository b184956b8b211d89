"""`Measurement`: computes metrics for the methods' maps, for maps of noisy images, and for maps of random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from shapleycam.errors import BlankHeatmapWarning, ignore_warnings
from shapleycam.experiments.results.resampling import Array
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import Batch
from shapleycam.explanations.explanation import Explanation
from shapleycam.metrics.evaluator import MetricEvaluator
from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.options import MetricOptions
from shapleycam.metrics.removal import draw_disturbances
from shapleycam.metrics.stability import randomise_layers
from shapleycam.metrics.table import METRICS
from shapleycam.values.options import EstimatorOptions

Explanations: TypeAlias = Mapping[str, Explanation]


@dataclass(frozen=True)
class MeasuredBatch:
    """The values of metrics for a batch, in each condition: arrays (b,) by metric and method; higher is better.

    Attributes:
        methods: the methods, including the one that makes random maps.
        plain: for the maps of the unchanged images.
        noisy: for the maps of images with noise, measured on these.
        random: for the maps of the model with random weights, measured on the unchanged model and images.
    """

    methods: tuple[str, ...]
    plain: Mapping[str, Mapping[str, Array]]
    noisy: Mapping[str, Mapping[str, Array]]
    random: Mapping[str, Mapping[str, Array]]


class Measurement:
    """Measures batches of images in the three conditions.

    Args:
        explainer: an explainer of the model, at one layer.
        metrics: names of metrics that can be checked.
        methods: names of the methods, including the one that makes random maps.
        options: options of the metrics.
        estimator: options of the methods.
    """

    def __init__(
        self,
        explainer: Explainer,
        metrics: Sequence[str],
        methods: Sequence[str],
        options: MetricOptions,
        estimator: EstimatorOptions,
    ) -> None:
        self._explainer, self._metrics, self._methods = explainer, metrics, methods
        self._options, self._estimator = options, estimator

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def measure(self, batch: Batch) -> MeasuredBatch:
        """Return the values of the metrics for a batch in the three conditions."""
        with ignore_warnings(BlankHeatmapWarning):  # a random map may be blank, and metrics are defined for it
            [comparison] = self._explainer.compare_with(self._estimator, batch, self._methods, [None])
        explanations: Explanations = dict(comparison)
        first, methods = next(iter(explanations.values())), list(explanations)
        explained = ExplainedBatch(
            *(self._explainer, batch.images, first.target, self._explainer.utility, first.utility_name),
            *(self._estimator, first.form, batch.extra),
        )
        radius, seed = float(self._options.sensitivity_radius), self._options.seed
        [noise] = draw_disturbances(batch.images, radius, 1, seed)
        noisy = replace(explained, images=batch.images + noise)
        return MeasuredBatch(
            tuple(methods),
            self._metric_values(explained, explanations),
            self._metric_values(noisy, noisy.explain(noisy.images, methods)),
            self._metric_values(explained, self._with_maps_of_random_models(explained, explanations)),
        )

    def _with_maps_of_random_models(self, batch: ExplainedBatch, explanations: Explanations) -> Explanations:
        """Return the explanations with values and maps from models with random weights, drawn for each image.

        The output and the utility remain those of the model itself, by which a metric measures these maps.
        """
        images = []
        for index, seed in enumerate(batch.seeds(self._options.seed)):
            [model] = randomise_layers(batch.explainer.model, 1, seed)
            image = batch.single(index, batch.explainer.like(model))
            images.append(image.explain(image.images, list(explanations)))
        return {
            method: replace(
                explanation,
                heatmap=torch.cat([image[method].heatmap for image in images]),
                values=torch.cat([image[method].values for image in images]),
                prefix=None
                if explanation.prefix is None
                else torch.cat([prefix for image in images if (prefix := image[method].prefix) is not None]),
            )
            for method, explanation in explanations.items()
        }

    def _metric_values(self, batch: ExplainedBatch, explanations: Explanations) -> dict[str, dict[str, Array]]:
        """Return arrays (b,) by metric and method, negated if lower is better, so that higher is always better."""
        evaluator = MetricEvaluator(batch, explanations, self._metrics, self._options)
        return {
            name: {
                method: _sign(name) * evaluator.metric(name, method).double().cpu().numpy() for method in explanations
            }
            for name in self._metrics
        }


def _sign(metric: str) -> int:
    return 1 if METRICS[metric].better == "high" else -1
