"""From a game to explanations: the methods' values, and heatmaps of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import SECOND, Basis, BasisResult
from shapleycam.cams.compute import CamValues, compute_bases, compute_values, measure_curvature
from shapleycam.cams.heatmaps import heatmap
from shapleycam.cams.table import Method
from shapleycam.errors import DerivativeError
from shapleycam.explaining import warnings
from shapleycam.explanations.explanation import Explanation
from shapleycam.game import Game
from shapleycam.images import Source
from shapleycam.models.grids import sides_of
from shapleycam.tracing import Trace
from shapleycam.values.options import EstimatorOptions


def explained(
    game: Game,
    traced: Trace,
    rows: Iterable[Method],
    options: EstimatorOptions,
    sources: tuple[Source, ...],
    *,
    wanted: bool,
    channels: int = 1,
) -> dict[str, Explanation]:
    """The explanations of a game's images by each method; `wanted` measures the curvature also where none needs it.
    `channels` is the axis of the images that holds their channels.
    """
    rows = list(rows)
    results = compute_bases(game, (row.basis for row in rows), options)
    curvature = _curvature(game, results, options, wanted=wanted)
    if curvature is not None and SECOND in results:
        warnings.about_curvature(curvature, traced.layer, game.utility.name)
    values = compute_values(game, rows, results)
    return {row.name: _explanation(row, values[row.name], game, traced, sources, curvature, channels) for row in rows}


def _explanation(
    method: Method,
    values: CamValues,
    game: Game,
    traced: Trace,
    sources: tuple[Source, ...],
    curvature: Float[Tensor, " b"] | None,
    channels: int,
) -> Explanation:
    size = sides_of(tuple(traced.images.shape), channels)[-len(game.layout.grid) :]
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
        curvature=curvature,
        channels=channels,
    )


def _curvature(
    game: Game, results: Mapping[Basis, BasisResult], options: EstimatorOptions, *, wanted: bool
) -> Float[Tensor, " b"] | None:
    """Return the curvature where a second-order method has paid for it, or where it is wanted and can be had."""
    second = results.get(SECOND)
    if second is None and wanted:
        try:
            second = compute_bases(game, [SECOND], options)[SECOND]
        except DerivativeError:
            return None
    return measure_curvature(game, second) if isinstance(second, torch.Tensor) else None
