"""Tables of an image's windows, from which estimators compute sums over all coalitions in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapleycam.game.players import Players
from shapleycam.game.shortcuts.window_sums import WindowSumRunner
from shapleycam.utilities import Utility


@dataclass(frozen=True)
class WindowTable:
    """The features of each window of an image for each of its contents; the head takes the mean over the windows.

    Attributes:
        entries: (windows, contents, features); the window's r-th position is present if bit r of the index is set.
        members: (windows, bits), the index of the player of each bit's position; the number of players for positions
            outside of the map.
    """

    entries: Float[Tensor, "windows contents features"]
    members: Int[Tensor, "windows bits"]


class WindowedUtility:
    """The utility as a function of the one mean over windows that a head takes, for the images of a batch."""

    def __init__(self, runner: WindowSumRunner, players: Players, utility: Utility, target: Int[Tensor, " b"]) -> None:
        self._runner, self._players, self._utility, self._target = runner, players, utility, target

    def table(self, image: int) -> WindowTable:
        """Return the table of an image's windows."""
        outside = torch.full((1,), self._players.count, device=self._players.member.device)
        members = torch.cat([self._players.member[image], outside])[self._runner.positions]
        return WindowTable(self._runner.table(image), members)

    def differentiate(
        self, means: Float[Tensor, "rows features"], image: int
    ) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows features"]]:
        """Return the utilities of an image for given means over its windows, and their gradients by the means."""
        target = self._target[image].expand(len(means))
        samples = torch.full((len(means),), image, device=self._target.device)
        return self._runner.differentiate(lambda output: self._utility(output, target, samples), means, image)
