"""Values of the methods that are asked for, from one game, each shared derivative taken once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.cams.spreads import SPREADS
from shapleycam.cams.table import Derivative, Method
from shapleycam.game import Game
from shapleycam.images import Seed
from shapleycam.precision import widened
from shapleycam.values._exact import exact
from shapleycam.values._path import Nodes, mean_gradient
from shapleycam.values._permutation import Progress, permutation
from shapleycam.values._taylor import first_order, second_order
from shapleycam.values.shares import ShapleyValues


@dataclass(frozen=True)
class EstimatorOptions:
    """What the methods may spend: gradients along the path, the standard error to sample to, and whom to tell."""

    nodes: Nodes = 8
    tolerance: float = 0.01
    seed: Seed = 0
    progress: Progress | None = None


@dataclass(frozen=True)
class Derivatives:
    """What the methods are made of: derivatives (b, n, k), position by position, and values of the game itself."""

    derivatives: Mapping[Derivative, Float[Tensor, "b n k"]]
    shares: Mapping[Derivative, ShapleyValues]


@dataclass(frozen=True)
class CamValues:
    """`cells` (b, h, w), in 3-D (b, d, h, w), signed, in units of the utility where the method is, and their standard
    errors or None; `prefix` (b,) is what the prefix tokens earned (they have no place in the image), None where the
    layer has none.
    """

    cells: Float[Tensor, "b *grid"]
    prefix: Float[Tensor, " b"] | None
    stderr: Float[Tensor, "b *grid"] | None = None


def take_derivatives(game: Game, needed: Iterable[Derivative], effort: EstimatorOptions) -> Derivatives:
    """Each derivative that is needed, in float32 at least, and each set of values."""
    makers = {
        "first": lambda: first_order(game),
        "second": lambda: second_order(game),
        "path": lambda: mean_gradient(game, effort.nodes)[0],
    }
    players = {
        "sampled": lambda: permutation(game, None, effort.tolerance, effort.seed, progress=effort.progress),
        "exact": lambda: exact(game),
    }
    wanted = dict.fromkeys(needed)
    derivatives = {name: widened(game.layout.positions(makers[name]())) for name in wanted if name in makers}
    if "random" in wanted:
        derivatives["random"] = random_weights(game, effort.seed)
    return Derivatives(derivatives, {name: players[name]() for name in wanted if name in players})


def cam_values(game: Game, methods: Iterable[Method], found: Derivatives) -> dict[str, CamValues]:
    """The values of each method, by name."""
    activation = widened(game.layout.positions(game.activation))
    return {
        method.name: _played(game, found.shares[method.derivative])
        if method.plays
        else _spread(game, method, activation, found.derivatives[method.derivative])
        for method in methods
    }


def player_values(game: Game, values: CamValues) -> Float[Tensor, "b n"]:
    """A method's values summed over each player's positions, to be compared with those of the game."""
    prefix = game.layout.prefix
    places = values.cells.flatten(1)
    if values.prefix is not None:
        places = torch.cat([(values.prefix / prefix)[:, None].expand(-1, prefix), places], 1)
    return game.players.totals(places)


def curvature_of(game: Game, second: Float[Tensor, "b n k"]) -> Float[Tensor, " b"]:
    """‖φ₂ - φ₁‖₁ / (‖φ₁‖₁ + ‖φ₂ - φ₁‖₁) of the first- and second-order values: 0 for a linear head, below 1."""
    activation = widened(game.layout.positions(game.activation))
    one = (activation * widened(game.layout.positions(first_order(game)))).sum(2)
    change = ((activation * second).sum(2) - one).abs().sum(1)
    whole = one.abs().sum(1) + change
    return torch.where(whole > 0, change / whole, 0.0)


def random_weights(game: Game, seed: Seed) -> Float[Tensor, "b n k"]:
    """Weights uniform on [-1, 1], one a channel, seeded by each image's content."""
    positions = game.layout.positions(game.activation)
    drawn = []
    for image_seed in game.seeds(seed):
        generator = torch.Generator().manual_seed(image_seed)
        drawn.append(torch.rand(positions.shape[2], generator=generator) * 2 - 1)
    return widened(torch.stack(drawn).to(positions)[:, None].expand(positions.shape))


def _played(game: Game, shares: ShapleyValues) -> CamValues:
    values, stderr = game.players.cells(shares.values).float(), shares.stderr
    prefix = game.players.prefix(shares.values)
    return CamValues(
        values,
        None if prefix is None else prefix.float(),
        None if stderr is None else game.players.cells(stderr).float(),
    )


def _spread(
    game: Game, method: Method, activation: Float[Tensor, "b n k"], derivative: Float[Tensor, "b n k"]
) -> CamValues:
    skipped = game.layout.prefix
    places = SPREADS[method.spread](activation[:, skipped:], derivative[:, skipped:])
    prefix = None
    if skipped:
        prefix = (activation[:, :skipped] * derivative[:, :skipped]).sum((1, 2))
    return CamValues(places.unflatten(1, game.layout.grid).float(), prefix)
