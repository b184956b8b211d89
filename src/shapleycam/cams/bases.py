"""Bases, which methods are computed from: a derivative of the utility, or values of the game's players."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.game import Game
from shapleycam.values._exact import exact
from shapleycam.values._limited_runs import fewest_runs, permutation_within
from shapleycam.values._path import MOST_NODES, Nodes, mean_gradient
from shapleycam.values._permutation import permutation
from shapleycam.values._taylor import first_order, second_order
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.run_limit import run_limit
from shapleycam.values.shares import PlayerValues, ShapleyValues


@dataclass(frozen=True)
class PositionValues:
    """Final values of positions (b, n), prefix tokens first; they do not sum to the score.

    `notes` are, for each image, sentences on how its values were estimated; or empty.
    """

    values: Float[Tensor, "b n"]
    notes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class ChannelWeights:
    """One weight for each channel (b, k), which is spread like a derivative that is the same at every position.

    `notes` are, for each image, sentences on how its weights were estimated; or empty.
    """

    weights: Float[Tensor, "b k"]
    notes: tuple[tuple[str, ...], ...] = ()


BasisResult: TypeAlias = "Tensor | ChannelWeights | PlayerValues | PositionValues"
"""A derivative (b, n, k) or channel weights, which still have to be spread; or final values."""

_BLUE, _RED, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#AA4499"
_GREY, _BLACK = "#777777", "#000000"
_TYPICAL_ORDERS = 256
"""Orders that permutation sampling takes for a standard error of 1% at many layers."""
TYPICAL_CHANNELS = 512
"""A common number of channels, for estimates of the cost when the layer is not known."""


@dataclass(frozen=True)
class Cost:
    """Runs for one image, in addition to the forward pass that all methods of a comparison share.

    Attributes:
        head_evaluations: runs of the head without a backward pass.
        head_gradients: runs of the head with a backward pass; a Hessian-vector product counts as one more gradient.
        model_passes: runs of the whole model.
    """

    head_evaluations: int = 0
    head_gradients: int = 0
    model_passes: int = 0

    def __mul__(self, count: int) -> Cost:
        """Return the cost of `count` times these runs."""
        return Cost(self.head_evaluations * count, self.head_gradients * count, self.model_passes * count)

    @property
    def runs(self) -> int:
        """Return the number of runs of all kinds."""
        return self.head_evaluations + self.head_gradients + self.model_passes


@dataclass(frozen=True)
class Basis:
    """A quantity that one or several methods are computed from; it is computed once for all methods that share it.

    Args:
        name: the name in tables and in the JSON of `shapleycam methods`.
        compute: (game, options) -> a derivative (b, n, k) by position and channel, or the players' values. A basis that
            needs further passes of the model changes a copy of `game.images` and calls `game.score_images`.
        cost: (players, nodes) -> the cost of one image.
        group: the heading under which results show the methods of this basis.
        colour: the matplotlib colour of its methods in figures.
        takes_derivatives: whether it consists of derivatives at the activation or at multiples of it. These are
            uninformative if the head ignores the activation's scale.
        taylor_order: 1 or 2 for the Taylor estimate of this order, otherwise None.
        needs_replay: whether the head must run again, at other activations than the image's own.
        needs_second_derivatives: whether it takes a Hessian-vector product.
        needs_model_passes: whether the whole model must run again, for changed images.
        is_class_blind: whether it does not depend on the class or utility that is explained.
        is_conditional: whether only some models have what it needs; the set `field` leaves it out for other models.
        options: the names of the estimator options that its values depend on, apart from the seed, the players and the
            limit of runs.
        fewest_runs: (players) -> the minimum number of runs of the head for values of the players; None if it does not
            evaluate coalitions of the players.
        is_of_channels: whether it weights channels by values of a game of channels: such values have no units, but
            depend on the removal.
        is_per_channel: whether `cost` is the cost of one channel of the layer.
    """

    name: str
    compute: Callable[[Game, EstimatorOptions], BasisResult]
    cost: Callable[[int, int], Cost]
    group: str
    colour: str
    takes_derivatives: bool = False
    taylor_order: int | None = None
    needs_replay: bool = False
    needs_second_derivatives: bool = False
    needs_model_passes: bool = False
    is_class_blind: bool = False
    is_conditional: bool = False
    is_of_channels: bool = False
    is_per_channel: bool = False
    options: tuple[str, ...] = ()
    fewest_runs: Callable[[int], int] | None = None

    @property
    def needs_derivatives(self) -> bool:
        """Return whether it runs a backward pass."""
        return self.takes_derivatives or self.cost(1, 1).head_gradients > 0

    def cost_of(self, players: int, nodes: Nodes = 8, channels: int = TYPICAL_CHANNELS) -> Cost:
        """Return the maximum cost of one image, for these numbers of players, path nodes and channels."""
        cost = self.cost(players, MOST_NODES if nodes == "auto" else nodes)
        return cost * channels if self.is_per_channel else cost


def random_weights(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    """Return weights uniform on [-1, 1], one for each channel, drawn from the seed and each image's content."""
    positions = game.layout.positions(game.activation)
    weights = []
    for image_seed in game.seeds(options.seed):
        generator = torch.Generator().manual_seed(image_seed)
        weights.append(torch.rand(positions.shape[2], generator=generator, dtype=torch.float32, device="cpu") * 2 - 1)
    return torch.stack(weights).to(positions)[:, None].expand(positions.shape)


def _first(game: Game, _: EstimatorOptions) -> Float[Tensor, "b n k"]:
    return game.layout.positions(first_order(game))


def _second(game: Game, _: EstimatorOptions) -> Float[Tensor, "b n k"]:
    return game.layout.positions(second_order(game))


def _path(game: Game, options: EstimatorOptions) -> Float[Tensor, "b n k"]:
    # `options.tolerance` is for sampling. The tolerance of nodes="auto" is not an option yet.
    return game.layout.positions(mean_gradient(game, options.nodes)[0])


def sampled_values(game: Game, options: EstimatorOptions) -> ShapleyValues:
    """Sample Shapley values to the tolerance; if the number of runs is limited, within this limit."""
    limit = run_limit(game, options)
    if limit is not None:
        return permutation_within(game, limit, options.tolerance, options.seed, progress=options.progress)
    return permutation(game, None, options.tolerance, options.seed, progress=options.progress)


def _exact(game: Game, options: EstimatorOptions) -> ShapleyValues:
    return exact(game, progress=options.progress)


FIRST = Basis(
    "first",
    _first,
    lambda _players, _nodes: Cost(head_gradients=1),
    "first order",
    _BLUE,
    takes_derivatives=True,
    taylor_order=1,
)
SECOND = Basis(
    "second",
    _second,
    lambda _players, _nodes: Cost(head_gradients=2),
    "second order",
    _RED,
    takes_derivatives=True,
    taylor_order=2,
    needs_second_derivatives=True,
)
PATH = Basis(
    "path",
    _path,
    lambda _players, nodes: Cost(head_gradients=nodes),
    "path",
    _GREEN,
    takes_derivatives=True,
    needs_replay=True,
    options=("nodes",),
)
RANDOM = Basis("random", random_weights, lambda _players, _nodes: Cost(), "baseline", _GREY, is_class_blind=True)
SAMPLED = Basis(
    "sampled",
    sampled_values,
    lambda players, _nodes: Cost(head_evaluations=_TYPICAL_ORDERS * players),
    "Shapley values",
    _BLACK,
    needs_replay=True,
    options=("tolerance",),
    fewest_runs=fewest_runs,
)
EXACT = Basis(
    "exact",
    _exact,
    lambda players, _nodes: Cost(head_evaluations=2**players),
    "Shapley values",
    _PURPLE,
    needs_replay=True,
    fewest_runs=lambda players: 2**players,
)
