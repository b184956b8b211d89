"""From a game to explanations: the methods' values, and heatmaps of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.compute import CamValues, Derivatives, EstimatorOptions, cam_values, curvature_of, take_derivatives
from shapleycam.cams.heatmaps import heatmap
from shapleycam.cams.table import Method
from shapleycam.errors import DerivativeError
from shapleycam.explaining import warnings
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.images import Source
from shapleycam.models.layout import spatial_size
from shapleycam.tracing import Trace
from shapleycam.values._taylor import second_order


def explained(
    game: Game,
    traced: Trace,
    rows: Iterable[Method],
    effort: EstimatorOptions,
    sources: tuple[Source, ...],
    *,
    wanted: bool,
    channels: int = 1,
) -> dict[str, Explanation]:
    """The explanations of a game's images by each method; `wanted` measures the curvature also where none needs it.
    `channels` is the axis of the images that holds their channels.
    """
    rows = list(rows)
    needed = {row.derivative for row in rows}
    found = take_derivatives(game, needed, effort)
    bent = _curvature(game, found, wanted=wanted)
    if bent is not None and "second" in needed:
        warnings.about_curvature(bent, traced.layer, game.utility.name)
    values = cam_values(game, rows, found)
    return {row.name: _explanation(row, values[row.name], game, traced, sources, bent, channels) for row in rows}


def _explanation(
    method: Method,
    values: CamValues,
    game: Game,
    traced: Trace,
    sources: tuple[Source, ...],
    bent: Float[Tensor, " b"] | None,
    channels: int,
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
        sources=sources,
        stderr=values.stderr,
        prefix=values.prefix,
        curvature=bent,
        channels=channels,
    )


def _curvature(game: Game, found: Derivatives, *, wanted: bool) -> Float[Tensor, " b"] | None:
    """The curvature, where a second-order method has paid for it, or where it is wanted and can be had."""
    if "second" in found.derivatives:
        return curvature_of(game, found.derivatives["second"])
    if not wanted:
        return None
    try:
        return curvature_of(game, game.layout.positions(second_order(game)))
    except DerivativeError:
        return None
