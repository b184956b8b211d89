"""The table of quantities, from which metrics are computed; each is a function of a batch, a method and other ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from shapleycam.cams.compute import CamValues, player_values
from shapleycam.errors import OptionError
from shapleycam.explanations.explanation import Explanation
from shapleycam.fidelity.reference import true_values
from shapleycam.game import Game
from shapleycam.game.imputation import draw_noise
from shapleycam.metrics.boxes import IouCurves, iou_curves
from shapleycam.metrics.masking import apply_mask, blur_images, hidden_content, zero_content
from shapleycam.metrics.quantity import Quantity, QuantityContext
from shapleycam.metrics.removal import exchange_pixels, impute_percentiles, mean_of_steps
from shapleycam.metrics.repeated_explanations import (
    disturbed_values,
    randomised_values,
    smoothed_randomised_values,
    smoothed_values,
)
from shapleycam.metrics.single_removal import (
    grid_patches,
    means_of_parts,
    rank_groups,
    resize_values,
    sums_of_parts,
    without_each,
)

_MASKED_SEED_OFFSET = 2**32
"""Added to the seed for explanations of x·M, so that they do not repeat the draws of the explanation of x."""


_MakeImages: TypeAlias = Callable[[QuantityContext], Tensor]


@dataclass(frozen=True)
class _MaskedImages:
    """The model's output for x·M, and the heatmap of x·M by method if a metric needs it."""

    output: Any
    heatmaps: Mapping[str, Tensor]


def _score(context: QuantityContext, _: str) -> Tensor:
    """Return the score of x, from the output that is stored in the explanations."""
    return context.batch.scores(next(iter(context.explanations.values())).output)


def _hidden(context: QuantityContext, _: str) -> Tensor | float:
    batch = context.batch
    return hidden_content(batch.images, context.options, batch.explainer.preprocess)


def _masked_images(context: QuantityContext, method: str, hidden: Tensor | float) -> _MaskedImages:
    """Run the model on x·M; if heatmaps are needed, the same forward pass explains x·M by all methods with this map."""
    batch = context.batch
    images = apply_mask(batch.images, context.explanations[method].heatmap, hidden)
    if "kept_heatmap" not in context.needed:
        return _MaskedImages(batch.output(images), {})
    # The seeds come from the content of x. The last bits of x·M depend on the size of the batch.
    seeds = batch.seeds(batch.seed + _MASKED_SEED_OFFSET)
    explanations = batch.explain(images, context.methods_with_map_of(method), seeds)
    return _MaskedImages(
        explanations[method].output,
        {name: explanation.heatmap for name, explanation in explanations.items()},
    )


def _kept_score(context: QuantityContext, _: str, masked_images: _MaskedImages) -> Tensor:
    return context.batch.scores(masked_images.output)


def _removed_score(context: QuantityContext, method: str, hidden: Tensor | float) -> Tensor:
    rest = 1 - context.explanations[method].heatmap
    return context.batch.score(apply_mask(context.batch.images, rest, hidden))


def _zero(context: QuantityContext) -> Tensor:
    images = context.batch.images
    return torch.zeros_like(images) + zero_content(images, context.options, context.batch.explainer.preprocess)


def _blur(context: QuantityContext) -> Tensor:
    return blur_images(context.batch.images, context.options)


def _images(context: QuantityContext) -> Tensor:
    return context.batch.images


def _exchange(
    context: QuantityContext, method: str, *, start: _MakeImages, end: _MakeImages, most_first: bool
) -> Tensor:
    """Return the scores while the pixels of the images `start` are exchanged for those of `end`."""
    heatmap, steps = context.explanations[method].heatmap, context.options.steps
    return _scores_of(context, exchange_pixels(start(context), end(context), heatmap, steps, most_first=most_first))


def _step_heat(context: QuantityContext, method: str) -> Tensor:
    return mean_of_steps(context.explanations[method].heatmap, context.options.steps)


def _group_heat(context: QuantityContext, method: str) -> Tensor:
    heatmap, groups = context.explanations[method].heatmap, context.options.saco_groups
    return means_of_parts(heatmap, rank_groups(heatmap, groups), groups)


def _group_scores(context: QuantityContext, method: str) -> Tensor:
    heatmap, groups = context.explanations[method].heatmap, context.options.saco_groups
    images = context.batch.images
    mean = images.mean((2, 3), keepdim=True)
    return _scores_of(context, without_each(images, rank_groups(heatmap, groups), groups, mean))


def _patches(context: QuantityContext) -> Tensor:
    images = context.batch.images
    height, width = images.shape[2:]
    return grid_patches(height, width, context.options.deletion_grid, images.device)


def _patch_values(context: QuantityContext, method: str) -> Tensor:
    patches = _patches(context)
    _, height, width = patches.shape
    values = resize_values(context.explanations[method].values.double(), height, width)
    return sums_of_parts(values, patches, context.options.deletion_grid**2)


def _patch_scores(context: QuantityContext, _: str) -> Tensor:
    parts = context.options.deletion_grid**2
    return _scores_of(context, without_each(context.batch.images, _patches(context), parts, _zero(context)))


def _noise(context: QuantityContext, _: str) -> Tensor:
    return draw_noise(context.batch.images, float(context.options.road_noise), context.options.seed)


def _road(context: QuantityContext, method: str, noise: Tensor, *, most_first: bool) -> Tensor:
    images, heatmap = context.batch.images, context.explanations[method].heatmap
    percentiles = context.options.percentiles
    return _scores_of(context, impute_percentiles(images, heatmap, percentiles, noise, most_first=most_first))


def _scores_of(context: QuantityContext, batches: Iterable[Tensor]) -> Tensor:
    """Return the scores (b, points) of several batches of changed images, one forward pass each."""
    return torch.stack([context.batch.score(images) for images in batches], 1)


def _box_ious(context: QuantityContext, method: str, object_masks: Tensor) -> IouCurves:
    return iou_curves(context.explanations[method].heatmap, object_masks)


def _of_method(_: QuantityContext, method: str, values: dict[str, Tensor]) -> Tensor:
    return values[method]


def _true_values(context: QuantityContext, _: str, game: Game) -> Tensor:
    # Another seed than that of sampledshapley, so that it is compared with orders that it did not draw itself.
    seed = 1 + max(context.options.seed, context.batch.seed)
    return true_values(game, context.options.shapley_tolerance, seed).values.double()


def _player_values(context: QuantityContext, method: str, game: Game) -> Tensor:
    explanation: Explanation = context.explanations[method]
    if explanation.layer != game.layer:
        raise OptionError(f"the explanation is of layer {explanation.layer!r}, the game of {game.layer!r}; use one")
    if explanation.removal != game.removal.name:
        raise OptionError(
            f"the explanation is of removal {explanation.removal!r}, the game of {game.removal.name!r}; use one"
        )
    return player_values(game, CamValues(explanation.values, explanation.prefix)).double()


def _grand(_: QuantityContext, __: str, game: Game) -> Tensor:
    """Return v(N) of each image; NaN where rounding alone may leave as much, so that there is nothing to divide."""
    return torch.where(game.grand.abs() > game.rounding, game.grand.double(), torch.nan)


def _curve(start: _MakeImages, end: _MakeImages, *, most_first: bool) -> Quantity:
    """Return the quantity of an insertion or deletion curve; each of its points is a pass."""
    compute = partial(_exchange, start=start, end=end, most_first=most_first)
    return Quantity("map", compute, passes=lambda options: options.steps + 1)


QUANTITIES = {
    "score": Quantity("batch", _score),
    "hidden": Quantity("batch", _hidden),
    "heatmap": Quantity("method", lambda context, method: context.explanations[method].heatmap),
    "masked_images": Quantity("map", _masked_images, ("hidden",), lambda _: 1, explained_for="kept_heatmap"),
    "kept_score": Quantity("map", _kept_score, ("masked_images",)),
    "kept_heatmap": Quantity(
        "method", lambda _, method, masked_images: masked_images.heatmaps[method], ("masked_images",)
    ),
    "removed_score": Quantity("map", _removed_score, ("hidden",), lambda _: 1),
    "insertion_curve": _curve(_blur, _images, most_first=True),
    "inverse_insertion_curve": _curve(_blur, _images, most_first=False),
    "deletion_curve": _curve(_images, _zero, most_first=True),
    "preservation_curve": _curve(_images, _zero, most_first=False),
    "blur_deletion_curve": _curve(_images, _blur, most_first=True),
    "blur_preservation_curve": _curve(_images, _blur, most_first=False),
    "step_heat": Quantity("map", _step_heat),
    "group_heat": Quantity("map", _group_heat),
    "group_scores": Quantity("map", _group_scores, passes=lambda options: options.saco_groups),
    "patch_values": Quantity("method", _patch_values),
    "patch_scores": Quantity("batch", _patch_scores, passes=lambda options: options.deletion_grid**2),
    "noise": Quantity("batch", _noise),
    "least_first": Quantity(
        "map", partial(_road, most_first=False), ("noise",), lambda options: len(options.percentiles)
    ),
    "most_first": Quantity(
        "map", partial(_road, most_first=True), ("noise",), lambda options: len(options.percentiles)
    ),
    "object_masks": Quantity("batch", lambda context, _: context.object_masks),
    "objects": Quantity("batch", lambda _, __, object_masks: object_masks.any(1), ("object_masks",)),
    "box_ious": Quantity("map", _box_ious, ("object_masks",)),
    "box_iou_curve": Quantity("map", lambda _, __, box_ious: box_ious.largest, ("box_ious",)),
    "any_box_iou_curve": Quantity("map", lambda _, __, box_ious: box_ious.best, ("box_ious",)),
    "pointing_tolerance": Quantity(
        "batch",
        lambda context, _: torch.tensor(float(context.options.pointing_tolerance), dtype=torch.float32, device="cpu"),
    ),
    "values": Quantity("method", lambda context, method: context.explanations[method].values),
    "disturbed": Quantity(
        "batch", disturbed_values, passes=lambda options: options.sensitivity_draws, explained_for="disturbed"
    ),
    "disturbed_values": Quantity("method", _of_method, ("disturbed",)),
    "randomised": Quantity(
        "batch", randomised_values, passes=lambda options: options.randomised_stages, explained_for="randomised"
    ),
    "randomised_values": Quantity("method", _of_method, ("randomised",)),
    "smoothed": Quantity(
        "batch", smoothed_values, passes=lambda options: options.smooth_draws, explained_for="smoothed"
    ),
    "smoothed_values": Quantity("method", _of_method, ("smoothed",)),
    "smoothed_randomised": Quantity(
        "batch",
        smoothed_randomised_values,
        passes=lambda options: options.smooth_draws * options.randomised_stages,
        explained_for="smoothed_randomised",
    ),
    "smoothed_randomised_values": Quantity("method", _of_method, ("smoothed_randomised",)),
    "game": Quantity("batch", lambda context, _: context.make_game()),
    "true_values": Quantity("batch", _true_values, ("game",)),
    "player_values": Quantity("method", _player_values, ("game",)),
    "grand": Quantity("batch", _grand, ("game",)),
}
