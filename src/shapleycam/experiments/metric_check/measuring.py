"""What metrics say of good maps, of maps of noisy images, and of maps of models with random weights."""

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
    """The figures of a batch by metric and method (b,), in each condition."""

    methods: tuple[str, ...]
    plain: Mapping[str, Mapping[str, Array]]
    noisy: Mapping[str, Mapping[str, Array]]
    random: Mapping[str, Mapping[str, Array]]


class Measurement:
    """Measures batches of images in the three conditions.

    Args:
        explainer: of the model, at one layer.
        metrics: names of metrics that can be checked.
        methods: names of the methods, the one of random maps among them.
        options: of the metrics.
        estimator: of the methods.
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
        """Return the figures of a batch."""
        with ignore_warnings(BlankHeatmapWarning):  # of a random map it is no fault, and metrics know what it is worth
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
            self._figures(explained, explanations),
            self._figures(noisy, noisy.explain(noisy.images, methods)),
            self._figures(explained, self._with_maps_of_random_models(explained, explanations)),
        )

    def _with_maps_of_random_models(self, batch: ExplainedBatch, explanations: Explanations) -> Explanations:
        """Return the explanations with the values and maps of models of random weights, another one for each image.

        Output and utility stay the model's own: that is what a metric measures these maps by.
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

    def _figures(self, batch: ExplainedBatch, explanations: Explanations) -> dict[str, dict[str, Array]]:
        """Return what the metrics say of explanations: by metric and method, (b,), where higher is better."""
        evaluator = MetricEvaluator(batch, explanations, self._metrics, self._options)
        return {
            name: {
                method: _sign(name) * evaluator.metric(name, method).double().cpu().numpy() for method in explanations
            }
            for name in self._metrics
        }


def _sign(metric: str) -> int:
    return 1 if METRICS[metric].better == "high" else -1
