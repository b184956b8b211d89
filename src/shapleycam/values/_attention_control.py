"""A control variate behind a few queries that read by attention, as a class token's: a quadratic utility.

What the queries read, u(S), is a fraction of sums over tokens: cheap, and far from additive where few tokens have most
of the attention. What follows, the projection, MLP, norm and classifier, takes nearly all the time, and varies along
few directions, those of its gradients: along these it is nearly quadratic. So c(S) = q(B·u(S)), where B has four rows
and q is fitted to the gradients at some random coalitions. The Shapley values of its linear part are known by
quadrature; those of what is left of q are sampled with 64 times as many orders as the game's own, since a coalition
costs a few dozen additions. There the prefix player, with which the queries change, is at all places of an order at
once. Whatever q is, the estimate is unbiased: q is chosen before anything is drawn, and orders are drawn anew for each
sample.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.game.attended_utility import AttendedUtility
from shapleycam.values._attended_game import AttendedGame
from shapleycam.values._control_variate import ControlVariate
from shapleycam.values._orders import four_orders
from shapleycam.values._quadratic import fit_quadratic

_POINTS = 64
"""Random coalitions at which the utility is differentiated."""
_DIRECTIONS = 4
"""Along which the utility may vary."""
_MORE = 64
"""Orders of the control for each order of the game; a multiple of four."""
_LITTLE = 0.0005
"""Share of the variance that may be left for single orders to do."""
_WORTH = 4
"""How many times more evaluations the first samples have to take than the control."""


class NearGame(NamedTuple):
    """A game c near an image's own; `left`: the share of the utility's variance between points that c does not have."""

    game: AttendedGame
    left: float


class AttentionControl(ControlVariate):
    """A quadratic function of what is read, for each image whose utility has a gradient."""

    note = (
        "only the difference from a quadratic approximation of what follows the attention was sampled; its own values "
        f"are in part known, and in part sampled with {_MORE} times as many orders"
    )
    tries_single_orders = True
    spent = 2 * _POINTS

    def __init__(self, near: list[NearGame | None], generators: list[torch.Generator], n: int) -> None:
        self.is_near = torch.tensor([each is not None and each.left <= _LITTLE for each in near], device="cpu")
        self._generators = generators
        self._games = [None if each is None else each.game for each in near]
        self._sampled, self._known = dict[int, AttendedGame](), dict[int, Tensor]()
        for image, game in enumerate(self._games):
            if game is not None:
                linear = game.linear_values()
                self._sampled[image] = game if linear is None else game.curved
                self._known[image] = game.sums.base.new_zeros(()) if linear is None else linear
        centres = {image: self._estimates(image, 1, 1) for image in self._sampled}
        nothing = next(iter(centres.values())).new_zeros(1, n)
        self.centre = torch.cat([centres.get(image, nothing) for image in range(len(near))])

    def errors(self, places: Int[Tensor, "a samples k n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a samples n"]:
        samples, count, n = places.shape[1:]
        errors = []
        for drawn, image in zip(places, images.tolist(), strict=True):
            game = self._games[image]
            if game is None:  # no control: the mean of such an image does not depend on its batch mates' either
                errors.append(self.centre.new_zeros(samples, n))
                continue
            contributions = game.contributions(drawn.flatten(0, 1)).unflatten(0, (samples, -1)).mean(1)
            errors.append(contributions - self._estimates(image, samples, count))
        return torch.stack(errors)

    def _estimates(self, image: int, samples: int, orders: int) -> Float[Tensor, "samples n"]:
        """Return estimates of an image's Shapley values in c, what is sampled of each from 64 times so many orders."""
        game, generator = self._sampled[image], self._generators[image]
        count = samples * orders * _MORE // 4
        drawn = torch.rand(count, game.n_tokens, generator=generator, dtype=torch.float32, device="cpu").argsort(1)
        contributions = game.mean_contributions(four_orders(drawn).flatten(0, 1))
        estimates: Tensor = self._known[image] + contributions.unflatten(0, (samples, -1)).mean(1)
        return estimates


def attention_control(
    game: Game, coalitions: int, generators: list[torch.Generator], images: Int[Tensor, " a"]
) -> AttentionControl | None:
    """Return a control variate for some images; None where no queries are known, or so few coalitions not worth it."""
    if coalitions < _WORTH * AttentionControl.spent:
        return None
    attended = game.attended(coalitions)
    if attended is None:
        return None
    near: list[NearGame | None] = [None] * len(generators)
    for image in images.tolist():
        near[image] = _nearest_game(game, attended, image, generators[image])
    if all(each is None for each in near):
        return None
    return AttentionControl(near, generators, game.n_players)


def _nearest_game(game: Game, attended: AttendedUtility, image: int, generator: torch.Generator) -> NearGame | None:
    """Return the game c of an image; None where the utility has no gradient."""
    has_prefix = game.layout.prefix > 0
    coalitions = _spread_coalitions(game.n_players, generator, has_prefix=has_prefix)
    points = attended.points(coalitions.to(game.activation.device), image)
    if points is None or not bool(points.gradients.isfinite().all()):
        return None
    # Small matrices: on the CPU, in float64.
    read, utilities, gradients = (part.cpu().double() for part in points)
    directions = torch.linalg.svd(gradients, full_matrices=False).Vh[:_DIRECTIONS].mT
    is_present = coalitions[:, -1] if has_prefix else torch.ones(_POINTS, dtype=torch.bool, device="cpu")
    along, slopes = read @ directions, gradients @ directions
    quadratics, left = [], torch.zeros_like(utilities)
    for chosen in [is_present, ~is_present] if has_prefix else [is_present]:
        quadratics.append(fit_quadratic(along[chosen], utilities[chosen], slopes[chosen]))
        left[chosen] = utilities[chosen] - quadratics[-1].value(along[chosen])
    sums = attended.sums(directions.to(points.attended), image)
    near = AttendedGame(sums, tuple(quadratic.to(sums.base) for quadratic in quadratics), has_prefix)
    return NearGame(near, float(left.var() / utilities.var()))


def _spread_coalitions(n: int, generator: torch.Generator, *, has_prefix: bool) -> Bool[Tensor, "s n"]:
    """Return random coalitions of evenly spread sizes; the prefix is in every other one."""
    steps = torch.arange(_POINTS, device="cpu")
    likely = (steps + torch.rand(_POINTS, generator=generator, dtype=torch.float32, device="cpu")) / _POINTS
    coalitions = torch.rand(_POINTS, n, generator=generator, dtype=torch.float32, device="cpu") < likely[:, None]
    if has_prefix:
        coalitions[:, -1] = steps % 2 == 0
    return coalitions
