"""A control variate for heads that sum over windows: the utility, linearised around the mean coalition of each size.

The head takes a mean over windows, f(S), which differs little between random coalitions of the same size s. So the
utility is nearly c(S) = U(f_s) + U'(f_s) · (f(S) - f_s), with f_s the mean of f(S) over all coalitions of size s. The
Shapley values of c have a closed form, so that only the small difference is sampled. The estimate is unbiased for any
c, since c is chosen before the samples are drawn. (Control variates: Owen, Monte Carlo theory, methods and examples,
2013, chapter 8.)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.game import Game
from shapleycam.game.window_table import WindowedUtility
from shapleycam.precision import accurate
from shapleycam.values._control_variate import ControlVariate
from shapleycam.values._orders import of_players, prefixes
from shapleycam.values._window_game import WindowGame, mean_contents

_SIZES = 9
"""Sizes of coalitions at which the utility is linearised; between them linearisations are interpolated."""


class WindowControl(ControlVariate):
    """A sum over windows for each image, whose Shapley values are known in closed form."""

    note = "only the difference from a linearised game was sampled, whose values are known in closed form"
    spent = 0

    def __init__(self, games: Mapping[int, WindowGame], batch: int) -> None:
        self._games = games
        shapley = {image: each.shapley() for image, each in games.items()}
        nothing = torch.zeros_like(next(iter(shapley.values())))
        self.centre = torch.stack([shapley.get(image, nothing) for image in range(batch)])
        self.is_near = torch.zeros(batch, dtype=torch.bool, device="cpu")

    def errors(self, places: Int[Tensor, "a samples k n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a samples n"]:
        coalitions = prefixes(places.flatten(1, 2)).flatten(1, 2).to(self.centre.device)
        worth = self.value(coalitions, images).unflatten(1, (-1, places.shape[3] + 1))
        gained = of_players(worth, places)
        return gained.mean(2) - self.centre[images.to(gained.device), None]

    def value(self, coalitions: Bool[Tensor, "a s n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a s"]:
        """Return c(S) of coalitions of the images `images`; c of the empty coalition need not be zero."""
        pairs = zip(images.tolist(), coalitions, strict=True)
        return torch.stack([self._games[image].value(chosen) for image, chosen in pairs])


def window_control(game: Game, coalitions: int, images: Int[Tensor, " a"]) -> WindowControl | None:
    """Return a control variate for some images; None if the head has no windows, or their table does not pay."""
    windows = game.windows(coalitions)
    if windows is None:
        return None
    games = {image: _linearised(game, windows, image) for image in images.tolist()}
    return WindowControl(games, len(game.activation))


def _linearised(game: Game, windows: WindowedUtility, image: int) -> WindowGame:
    """Return the game of an image with its utility linearised around the mean coalitions of some sizes."""
    n, table = game.n_players, windows.table(image)
    precise = accurate(table.entries.device)
    sizes = torch.linspace(0, n, _SIZES, dtype=torch.float32, device=table.members.device).round().long().unique()
    flat = table.entries.flatten(0, 1)
    windows_count = len(table.entries)
    likely = mean_contents(table.members, n, sizes, torch.zeros((), dtype=precise, device=flat.device))
    means = likely.flatten(1).to(flat.dtype) @ flat / windows_count
    utilities, gradients = windows.differentiate(means, image)
    worth = (flat @ gradients.mT / windows_count).to(precise).unflatten(0, (windows_count, -1))
    constants = utilities.to(precise) - (gradients.to(precise) * means.to(precise)).sum(1)
    return WindowGame(worth, table.members, interpolation(n, sizes).to(worth), constants)


def interpolation(n: int, sizes: Int[Tensor, " t"]) -> Float[Tensor, "n_and_1 t"]:
    """Return the weights that interpolate linearly between `sizes`, for each size 0 to n."""
    every = torch.arange(n + 1, device=sizes.device)
    upper = torch.searchsorted(sizes, every).clamp(1, len(sizes) - 1)
    low, high = sizes[upper - 1], sizes[upper]
    share = ((every - low) / (high - low)).double()[:, None]
    weights = torch.zeros(n + 1, len(sizes), dtype=torch.double, device=sizes.device)
    return weights.scatter(1, upper[:, None], share).scatter(1, upper[:, None] - 1, 1 - share)
