"""Values of noisy images and of re-initialised models; all methods together explain each of them."""

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
    """Return by method the values (draws, b, h, w) of images with noise within the radius."""
    batch, options = context.batch, context.options
    noises = draw_disturbances(batch.images, float(options.sensitivity_radius), options.sensitivity_draws, options.seed)
    draws = [batch.explain(batch.images + noise, list(context.explanations)) for noise in noises]
    return {method: torch.stack([draw[method].values for draw in draws]) for method in context.explanations}


def smoothed_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the mean values (b, h, w) of noisy images."""
    return _mean_of_noisy(context, context.batch)


def _mean_of_noisy(context: QuantityContext, batch: ExplainedBatch) -> dict[str, Tensor]:
    """Return by method the mean values of noisy images; the noise is the same for each model."""
    options, methods = context.options, list(context.explanations)
    noises = draw_smoothing_noise(batch.images, float(options.smooth_noise), options.smooth_draws, options.seed)
    draws = [batch.explain(batch.images + noise, methods) for noise in noises]
    return {method: torch.stack([draw[method].values for draw in draws]).mean(0) for method in methods}


def randomised_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the values (stages, b, h, w) of models that were re-initialised for each image."""

    def values_of(image: ExplainedBatch) -> dict[str, Tensor]:
        explanations = image.explain(image.images, list(context.explanations))
        return {method: explanation.values for method, explanation in explanations.items()}

    return _of_random_models(context, values_of)


def smoothed_randomised_values(context: QuantityContext, _: str) -> dict[str, Tensor]:
    """Return by method the mean values (stages, b, h, w) of noisy images, of the same re-initialised models."""
    return _of_random_models(context, partial(_mean_of_noisy, context))


@torch.inference_mode(mode=False)
def _of_random_models(
    context: QuantityContext, values_of: Callable[[ExplainedBatch], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return by method the result of `values_of` for each image (stages, b, h, w).

    Each image has its own re-initialised models, seeded by its content.
    """
    batch, images = context.batch, []
    for index, seed in enumerate(batch.seeds(context.options.seed)):
        models = randomise_layers(batch.explainer.model, context.options.randomised_stages, seed)
        stages = [values_of(batch.single(index, batch.explainer.like(model))) for model in models]
        images.append({method: torch.stack([stage[method] for stage in stages]) for method in context.explanations})
    return {method: torch.cat([image[method] for image in images], 1) for method in context.explanations}
