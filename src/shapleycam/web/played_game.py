"""The game of a question in the tabs Fidelity and Coalitions, which share the game and its samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain, repeat

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from shapleycam.cams.table import METHODS
from shapleycam.errors import ignore_warnings
from shapleycam.explanations.explanation import Explanation
from shapleycam.fidelity.measure import values_of_players
from shapleycam.fidelity.reference import MOST_EXACT
from shapleycam.game import Game
from shapleycam.utilities import UTILITIES
from shapleycam.values import exact
from shapleycam.values._contributions import marginal_contributions, shares_of_samples
from shapleycam.values.options import EstimatorOptions
from shapleycam.values.shares import ShapleyValues
from shapleycam.web.kept_draws import KeptDraws
from shapleycam.web.resolved import ResolvedQuestion

_SIDE = 8
"""Maximum number of cells along a side. In larger grids regions are the players, so that each step is short."""
_FIRST, _THEN = (1, 1, 2, 4), 8
"""Samples of four orders each that are drawn between two checks whether somebody still waits; few at first, so that
the first result appears soon."""
ORDERS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
"""Numbers of random orders after which Fidelity shows a state; the sampling ends at the last one in any case."""
ORDERS_OF_A_SAMPLE = 4
_SEED = 1
"""This seed differs from that of sampledshapley, which otherwise would be measured against its own samples."""
METHODS_MEASURED = tuple(name for name, method in METHODS.items() if method.spread is not None and "all" in method.sets)
"""The methods that are measured: those of the set `all` that do not play the game."""


@dataclass(frozen=True)
class Measured:
    """Each method's values by player (1, n), and the methods that need second derivatives, if the model has none."""

    values: dict[str, Float[Tensor, "1 n"]]
    missing: list[str]


@dataclass(frozen=True)
class PlayedGame:
    """A game of one image whose players form a grid of places.

    Attributes:
        game: the game. Its players are the places, row by row; the prefix tokens, if any, are the last player.
        probability: the game of the class's probability; None if the output has no probabilities.
        image: an explanation of the image, of which everything except the values is used.
        rows, columns: the size of the grid.
        are_regions: whether a place is a region of several cells of the layer.
    """

    game: Game
    probability: Game | None
    image: Explanation
    rows: int
    columns: int
    are_regions: bool
    _drawn: KeptDraws[Float[Tensor, "1 samples n"]] = field(repr=False)

    @property
    def places(self) -> int:
        """Return the number of players that have a place in the image."""
        return self.rows * self.columns

    @property
    def is_exact(self) -> bool:
        """Return whether all coalitions are evaluated, because there are few players."""
        return self.game.n_players <= MOST_EXACT

    def shares(self, orders: int, check: Callable[[], None]) -> ShapleyValues:
        """Return the Shapley values that are sampled by this number of random orders; exact ones for few players.

        The same number of orders always gives the same values, whatever was requested before.
        """
        with torch.no_grad():
            if self.is_exact:
                return exact(self.game, progress=lambda *_: check())
            return shares_of_samples(self.game, self.samples(orders, check))

    def samples(self, orders: int, check: Callable[[], None]) -> Float[Tensor, "1 samples n"]:
        """Return the players' marginal contributions in the first `orders` random orders, four to a sample."""
        count, blocks, drawn = orders // ORDERS_OF_A_SAMPLE, [], 0
        for block in self._drawn.follow(check):
            blocks.append(block)
            drawn += block.shape[1]
            if drawn >= count:
                break
        return torch.cat(blocks, 1)[:, :count]

    def cells(self, values: Float[Tensor, "1 n"]) -> Float[Tensor, "1 h w"]:
        """Return for each cell of the layer the value of its place; all cells of a region have the region's value."""
        member = self.game.players.member
        return self.game.layout.cells(values.gather(1, member)).float().cpu()

    def draw(self, values: Float[Tensor, "1 n"]) -> Image.Image:
        """Return the players' values as the colours of a signed map with the size of the network's input."""
        return replace(self.image, values=self.cells(values)).shade(0, "values")

    @property
    def sides(self) -> tuple[list[int], list[int]]:
        """Return the number of the layer's cells in each row and in each column of the grid."""
        game = self.game
        labels = game.players.member[0, game.layout.prefix :].unflatten(0, game.layout.grid)
        rows, columns = (line.unique_consecutive(return_counts=True)[1] for line in (labels[:, 0], labels[0]))
        return rows.tolist(), columns.tolist()

    def measure(self) -> Measured:
        """Return the values of all methods that estimate from derivatives."""
        with torch.no_grad():
            values, _, missing = values_of_players(self.game, METHODS_MEASURED, EstimatorOptions(), set())
        return Measured(values, missing)


def played_game(resolved: ResolvedQuestion) -> PlayedGame:
    """Return the question's game, from the cache if possible.

    Raises:
        OptionError: the layer's grid is not that of an image.
    """
    played: PlayedGame = resolved.cached_game(lambda: _make(resolved))
    return played


@torch.no_grad()
def _make(resolved: ResolvedQuestion) -> PlayedGame:
    traced_batch = resolved.trace("shapleycam")  # so that second derivatives can be computed
    game = resolved.game(traced_batch)
    regions = resolved.regions(game, _SIDE)
    if regions is not None:
        game = resolved.game(traced_batch, regions)
    rows, columns = regions or game.layout.grid
    name = "sigmoid_probability" if game.utility.name.startswith("sigmoid") else "probability"
    with ignore_warnings():
        explanations = traced_batch.compare(["randomcam"], game.target, resolved.utility, EstimatorOptions())
    # randomcam needs no derivative, which a model may not have; only the values of its explanation are not used.
    image = replace(explanations["randomcam"], method="sampledshapley")
    probability = None
    if image.probabilities(0) is not None:
        probability = traced_batch.game(game.target, UTILITIES[name], regions)
    more = marginal_contributions(game, _SEED, chain(_FIRST, repeat(_THEN)))
    return PlayedGame(game, probability, image, rows, columns, regions is not None, KeptDraws(more))
