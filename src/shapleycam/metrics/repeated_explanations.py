"""Values for noisy images and for re-initialised models; each is explained by all methods together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from shapleycam.metrics.explained_batch import ExplainedBatch
from shapleycam.metrics.quantity import QuantityContext
from shapleycam.metrics.removal import draw_disturbances, draw_smoothing_noise
from shapleycam.metrics.stability import randomise_layers


def disturbed_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the values (draws, b, h, w) for images with noise within the radius."""
    batch, options = context.batch, context.options
    noises = draw_disturbances(batch.images, float(options.sensitivity_radius), options.sensitivity_draws, options.seed)
    draws = [batch.explain(batch.images + noise, list(context.explanations)) for noise in noises]
    return {method: torch.stack([draw[method].values for draw in draws]) for method in context.explanations}


def smoothed_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the mean values (b, h, w) over noisy images."""
    return _mean_over_noise(context, context.batch)


def _mean_over_noise(context: QuantityContext, batch: ExplainedBatch) -> dict[str, Tensor]:
    """Return by method the mean values (b, h, w) over noisy images; the noise does not depend on the batch's model."""
    options, methods = context.options, list(context.explanations)
    noises = draw_smoothing_noise(batch.images, float(options.smooth_noise), options.smooth_draws, options.seed)
    draws = [batch.explain(batch.images + noise, methods) for noise in noises]
    return {method: torch.stack([draw[method].values for draw in draws]).mean(0) for method in methods}


def randomised_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the values (stages, b, h, w) for re-initialised models, which are different for each image."""

    def explain(image: ExplainedBatch) -> dict[str, Tensor]:
        explanations = image.explain(image.images, list(context.explanations))
        return {method: explanation.values for method, explanation in explanations.items()}

    return _values_of_random_models(context, explain)


def smoothed_randomised_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the mean values (stages, b, h, w) over noisy images, for the same re-initialised models."""
    return _values_of_random_models(context, partial(_mean_over_noise, context))


@torch.inference_mode(mode=False)
def _values_of_random_models(
    context: QuantityContext, explain: Callable[[ExplainedBatch], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return by method the values (stages, b, h, w) that `explain` returns for re-initialised models.

    Each image has its own random models, seeded by its content.
    """
    batch, images = context.batch, []
    for index, seed in enumerate(batch.seeds(context.options.seed)):
        models = randomise_layers(batch.explainer.model, context.options.randomised_stages, seed)
        stages = [explain(batch.single(index, batch.explainer.like(model))) for model in models]
        images.append({method: torch.stack([stage[method] for stage in stages]) for method in context.explanations})
    return {method: torch.cat([image[method] for image in images], 1) for method in context.explanations}
