"""A control variate for heads that read a few attention queries, such as a class token: a quadratic utility.

The queries' results u(S) are fractions of sums over tokens. They are cheap to compute, and not additive if a few tokens
have most of the attention. The rest of the head (projection, MLP, norm, classifier) takes nearly all the time. It
varies along few directions, those of its gradients, and is nearly quadratic along them. So the control variate is
c(S) = q(B·u(S)), where B has four rows and q is fitted to the gradients at some random coalitions.

The Shapley values of the linear part of q are computed by quadrature. Those of the curved part are sampled with 64
times as many orders as the game's own, since a coalition costs only a few dozen additions; each order is averaged over
all places of the prefix player. The estimate is unbiased for any q, because q is chosen before the samples are drawn,
and each sample has its own orders.
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
"""Number of directions along which the control varies."""
_ORDERS_PER_ORDER = 64
"""Orders of the control for each order of the game; a multiple of four."""
_UNEXPLAINED = 0.0005
"""Maximum unexplained share of the variance for which single orders are tried."""
_MIN_RATIO = 4
"""A control is made if the first samples take at least this many times the evaluations of the control."""


class NearGame(NamedTuple):
    """A game c that approximates an image's game; `left` is the share of the utility's variance that c misses."""

    game: AttendedGame
    left: float


class AttentionControl(ControlVariate):
    """A quadratic function of the queries' results, for each image whose utility has a gradient."""

    note = (
        "only the difference from a quadratic approximation of what follows the attention was sampled; its own values "
        f"are in part known, and in part sampled with {_ORDERS_PER_ORDER} times as many orders"
    )
    tries_single_orders = True
    spent = 2 * _POINTS

    def __init__(self, near: list[NearGame | None], generators: list[torch.Generator], n: int) -> None:
        self.is_near = torch.tensor([each is not None and each.left <= _UNEXPLAINED for each in near], device="cpu")
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
            if game is None:  # no control for this image; it must not depend on the controls of other images
                errors.append(self.centre.new_zeros(samples, n))
                continue
            contributions = game.contributions(drawn.flatten(0, 1)).unflatten(0, (samples, -1)).mean(1)
            errors.append(contributions - self._estimates(image, samples, count))
        return torch.stack(errors)

    def _estimates(self, image: int, samples: int, orders: int) -> Float[Tensor, "samples n"]:
        """Return independent estimates of an image's Shapley values in c, one for each sample."""
        game, generator = self._sampled[image], self._generators[image]
        count = samples * orders * _ORDERS_PER_ORDER // 4
        drawn = torch.rand(count, game.n_tokens, generator=generator, dtype=torch.float32, device="cpu").argsort(1)
        contributions = game.mean_contributions(four_orders(drawn).flatten(0, 1))
        estimates: Tensor = self._known[image] + contributions.unflatten(0, (samples, -1)).mean(1)
        return estimates


def attention_control(
    game: Game, coalitions: int, generators: list[torch.Generator], images: Int[Tensor, " a"]
) -> AttentionControl | None:
    """Return a control variate for some images; None for other heads, or if it does not pay for so few coalitions."""
    if coalitions < _MIN_RATIO * AttentionControl.spent:
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
    """Return the game c of an image; None if the utility has no finite gradient."""
    has_prefix = game.layout.prefix > 0
    coalitions = _spread_coalitions(game.n_players, generator, has_prefix=has_prefix)
    points = attended.points(coalitions.to(game.activation.device), image)
    if points is None or not bool(points.gradients.isfinite().all()):
        return None
    # These matrices are small: compute on the CPU, in float64.
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
    """Return random coalitions of evenly spread sizes; every second one contains the prefix."""
    steps = torch.arange(_POINTS, device="cpu")
    likely = (steps + torch.rand(_POINTS, generator=generator, dtype=torch.float32, device="cpu")) / _POINTS
    coalitions = torch.rand(_POINTS, n, generator=generator, dtype=torch.float32, device="cpu") < likely[:, None]
    if has_prefix:
        coalitions[:, -1] = steps % 2 == 0
    return coalitions
