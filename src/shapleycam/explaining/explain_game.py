"""Compute the explanations of a game: the values and heatmaps of each method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import SECOND, Basis, BasisResult
from shapleycam.cams.compute import CamValues, compute_bases, compute_values, measure_curvature
from shapleycam.cams.heatmaps import heatmap
from shapleycam.cams.method import Method
from shapleycam.cams.method_choice import MethodChoice, compute_allowed
from shapleycam.errors import DerivativeError
from shapleycam.explaining import warnings
from shapleycam.explaining.inputs import Batch
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.models.layout import spatial_size
from shapleycam.tracing import Trace
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import ShapleyValues


def explain_game(
    game: Game,
    choice: MethodChoice,
    options: EstimatorOptions,
    *,
    batch: Batch,
    traced: Trace,
    channels: int = 1,
    curvature: bool = False,
) -> tuple[dict[str, Explanation], dict[str, str]]:
    """Return the explanations of a game's images by each method, and the reasons why optional methods are refused.

    Args:
        game: the game of each image.
        choice: the methods.
        options: the options of the estimators.
        batch: the images.
        traced: the traced pass, with the model's own output.
        channels: the axis of the images that holds their channels.
        curvature: measure the curvature even if no method needs it.
    """
    results, refused = compute_allowed(game, choice, options)
    methods = [row for row in choice.rows if row.basis in results]
    measured = _curvature(game, results, options, is_required=curvature)
    if measured is not None and SECOND in results:
        warnings.warn_of_no_curvature(measured, traced.layer, game.utility.name, game.removal.name)
    values = compute_values(game, methods, results)
    explanations = {
        method.name: _explanation(method, values[method.name], game, batch, traced, channels, measured)
        for method in methods
    }
    if game.is_at_input:
        removed = _utility_removed(game)
        explanations = {name: replace(each, utility_removed=removed) for name, each in explanations.items()}
    played = [method.name for method in methods if isinstance(results[method.basis], ShapleyValues)]
    explanations |= {name: replace(explanations[name], coalition_cost=game.coalition_cost) for name in played}
    return explanations, refused


def _explanation(
    method: Method,
    values: CamValues,
    game: Game,
    batch: Batch,
    traced: Trace,
    channels: int,
    curvature: Float[Tensor, " b"] | None,
) -> Explanation:
    size = spatial_size(tuple(traced.images.shape), channels)[-len(game.layout.grid) :]
    return Explanation(
        method=method.name,
        layer=traced.layer,
        utility_name=game.utility.name,
        heatmap=heatmap(values.cells, size),
        values=values.cells,
        target=game.target,
        output=traced.output.detach() if isinstance(traced.output, torch.Tensor) else None,
        utility=game.full,
        images=traced.images,
        sources=batch.sources,
        stderr=values.stderr,
        prefix=values.prefix,
        curvature=curvature,
        channels=channels,
        removal=game.removal.name,
        precision=traced.precision,
        notes=values.notes,
        regions=game.players.labels if game.players.are_regions else None,
        region_names=game.players.names,
    )


def _utility_removed(game: Game) -> Float[Tensor, " b"] | None:
    """Return the utility of the images with everything removed; None if it is not finite."""
    if not game.removal.is_fixed:
        return game.empty
    images = torch.arange(len(game.activation), device="cpu")
    utilities = game.score_images(game.contents.empty, images).detach()
    return utilities if bool(torch.isfinite(utilities).all()) else None


def _curvature(
    game: Game, results: Mapping[Basis, BasisResult], options: EstimatorOptions, *, is_required: bool
) -> Float[Tensor, " b"] | None:
    """Return the curvature; None if it is neither computed yet nor required, or has no second derivatives."""
    second = results.get(SECOND)
    if second is None and is_required:
        try:
            second = compute_bases(game, [SECOND], options)[SECOND]
        except DerivativeError:
            return None
    return measure_curvature(game, second) if isinstance(second, torch.Tensor) else None
