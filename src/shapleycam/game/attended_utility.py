"""The utility as a function of the results of a few attention queries; estimators approximate it near coalitions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.game.attention.sums import AttendedSums
from shapleycam.game.grad_modes import with_gradients, without_gradients
from shapleycam.game.players import Players
from shapleycam.game.shortcuts.class_token import ClassTokenRunner
from shapleycam.utilities import Utility


class UtilityPoints(NamedTuple):
    """Results of the queries in some coalitions, with the utilities and their gradients by these results."""

    attended: Float[Tensor, "s features"]
    utilities: Float[Tensor, " s"]
    gradients: Float[Tensor, "s features"]


class AttendedUtility:
    """The utility as a function of the results of a head's attention queries, for the images of a batch."""

    def __init__(self, runner: ClassTokenRunner, players: Players, utility: Utility, target: Int[Tensor, " b"]) -> None:
        self._runner, self._players, self._utility, self._target = runner, players, utility, target

    def sums(self, directions: Float[Tensor, "features r"], image: int) -> AttendedSums:
        """Return linear combinations (`directions`) of the queries' results in an image, as sums over players."""
        member = self._players.member[image]
        with without_gradients():
            return self._runner.reader(image).sums(directions).by_player(member, self._players.count)

    def points(self, coalitions: Bool[Tensor, "s n"], image: int) -> UtilityPoints | None:
        """Return the utilities and gradients in coalitions of an image; None if there is no derivative.

        They are not compared with the model itself. So use them only where an error cannot make a result wrong, such as
        in a control variate.
        """
        reader, count = self._runner.reader(image), len(coalitions)
        indices = torch.full((1,), image, device=self._players.member.device)
        presence = self._players.presence(coalitions.float()[None], indices)[0]
        with without_gradients():
            attended = reader.attended(presence)
        target = self._target[image].expand(count)
        samples = torch.full((count,), image, device=self._target.device)
        with with_gradients():
            leaf = attended.requires_grad_()
            utilities = self._utility(reader.output_from(leaf, presence), target, samples)
            if not utilities.requires_grad:
                return None
            (gradients,) = torch.autograd.grad(utilities.sum(), leaf)
        return UtilityPoints(leaf.detach(), utilities.detach(), gradients)
