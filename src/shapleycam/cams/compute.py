"""Compute the values of several methods from one game; a basis that methods share is computed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.bases import Basis, BasisResult, ChannelWeights, PositionValues
from shapleycam.cams.method import Method
from shapleycam.cams.spreads import Spread
from shapleycam.game import Game
from shapleycam.game.players import Players
from shapleycam.precision import widened
from shapleycam.values._taylor import first_order
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import PlayerValues


@dataclass(frozen=True)
class CamValues:
    """Values of one method.

    Attributes:
        cells: signed values (b, h, w), in 3-D (b, d, h, w); in units of the utility if the method is.
        prefix: the value (b,) of the prefix tokens, which have no place in the image; None if the layer has none.
        stderr: the standard errors of `cells`; None for methods without sampling.
        notes: for each image, sentences on how its values were estimated; or empty.
    """

    cells: Float[Tensor, "b *grid"]
    prefix: Float[Tensor, " b"] | None
    stderr: Float[Tensor, "b *grid"] | None = None
    notes: tuple[tuple[str, ...], ...] = ()


def compute_bases(game: Game, bases: Iterable[Basis], options: EstimatorOptions) -> dict[Basis, BasisResult]:
    """Compute each basis once; derivatives are returned in float32 at least."""
    results = {basis: basis.compute(game, options) for basis in dict.fromkeys(bases)}
    return {basis: widened(result) if isinstance(result, torch.Tensor) else result for basis, result in results.items()}


def compute_values(game: Game, methods: Iterable[Method], results: Mapping[Basis, BasisResult]) -> dict[str, CamValues]:
    """Return the values of each method, by name; `results` are the results of `compute_bases`."""
    activation = widened(game.layout.positions(game.activation))
    # Methods that need A - R are refused below if the removal has no single R; the other methods do not read it.
    difference = widened(game.layout.positions(game.contents.difference)) if game.removal.is_fixed else activation
    values = {}
    for method in methods:
        result = results[method.basis]
        notes: tuple[tuple[str, ...], ...] = ()
        if isinstance(result, ChannelWeights):
            notes = result.notes
            result = result.weights.to(activation.dtype)[:, None].expand(activation.shape)
        if isinstance(result, PlayerValues):
            values[method.name] = values_of_players(game.players, result)
        elif isinstance(result, PositionValues):
            values[method.name] = _values_of_positions(game, result)
        elif method.spread is None:
            raise TypeError(f"method {method.name!r}: its basis gives a derivative, so that its row needs a spread")
        else:
            if method.uses_removal:
                game.removal.check_fixed(f"method {method.name!r}")
            factor = difference if method.uses_removal else activation
            spread = _spread_values(game, method.spread, activation, result, factor)
            values[method.name] = replace(spread, notes=notes)
    return values


def player_values(game: Game, values: CamValues) -> Float[Tensor, "b n"]:
    """Return a method's values summed over each player's positions, to compare them with the game's values."""
    prefix = game.layout.prefix
    positions = values.cells.flatten(1)
    if values.prefix is not None:
        positions = torch.cat([(values.prefix / prefix)[:, None].expand(-1, prefix), positions], 1)
    return game.players.totals(positions)


def measure_curvature(game: Game, second: Float[Tensor, "b n k"]) -> Float[Tensor, " b"]:
    """Return ‖φ₂ - φ₁‖₁ / (‖φ₁‖₁ + ‖φ₂ - φ₁‖₁) of the first- and second-order values φ₁ and φ₂.

    It is 0 for a linear head, and below 1. `second` is the second-order derivative, position by position.
    """
    difference = widened(game.layout.positions(game.contents.difference))
    first_values = (difference * widened(game.layout.positions(first_order(game)))).sum(2)
    change = ((difference * second).sum(2) - first_values).abs().sum(1)
    total = first_values.abs().sum(1) + change
    return torch.where(total > 0, change / total, 0.0)


def values_of_players(players: Players, shares: PlayerValues) -> CamValues:
    """Return the players' values on the layer's grid; a region's value is divided evenly among its cells."""
    prefix, stderr = players.prefix(shares.values), shares.stderr
    return CamValues(
        players.cells(shares.values).float(),
        None if prefix is None else prefix.float(),
        None if stderr is None else players.cells(stderr).float(),
        shares.notes,
    )


def _values_of_positions(game: Game, result: PositionValues) -> CamValues:
    """Return values of positions on the layer's grid."""
    prefix, cells = result.values.tensor_split([game.layout.prefix], 1)
    of_prefix = prefix.sum(1).float() if prefix.shape[1] else None
    return CamValues(cells.unflatten(1, game.layout.grid).float(), of_prefix, notes=result.notes)


def _spread_values(
    game: Game,
    spread: Spread,
    activation: Float[Tensor, "b n k"],
    derivative: Float[Tensor, "b n k"],
    factor: Float[Tensor, "b n k"],
) -> CamValues:
    """Return a derivative's values on the layer's grid; prefix tokens take no part in means over positions."""
    skipped = game.layout.prefix
    cells = spread(activation[:, skipped:], derivative[:, skipped:], factor[:, skipped:])
    prefix = None
    if skipped:
        prefix = (factor[:, :skipped] * derivative[:, :skipped]).sum((1, 2))
    return CamValues(cells.unflatten(1, game.layout.grid).float(), prefix)
