"""Utilities of coalitions for removals without a single R, such as one that depends on the coalition.

Such a removal has runners that evaluate its coalitions; the utility is the mean over the runners. There are no
shortcuts, since each is proven for a single R.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.channels import ChannelLayout
from shapleycam.game.coalition_batches import BatchProgress
from shapleycam.game.coalitions import CoalitionEvaluator
from shapleycam.game.contents import Contents
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_runner import HeadRunner
from shapleycam.game.players import Players
from shapleycam.game.removal import Removal, RunnerMaker
from shapleycam.tracing import Trace
from shapleycam.utilities import Utility
from shapleycam.wording import counted


class VaryingRemovalEvaluator(CoalitionEvaluator):
    """Evaluates each coalition by all runners of a removal, and returns the mean."""

    def __init__(
        self,
        trace: Trace,
        contents: Contents,
        players: Players,
        utility: Utility,
        target: Int[Tensor, " b"],
        memory: int,
        removal: Removal,
        make_runners: RunnerMaker,
    ) -> None:
        super().__init__(trace, contents, players, utility, target, memory, removal)
        self._make_runners = partial(make_runners, trace, contents.activation, players)
        self._sizes = players.totals(torch.ones_like(players.member, dtype=torch.float32))

    @cached_property
    def _runners(self) -> Sequence[HeadRunner]:
        """Return the runners; they are made at the first coalition, since this may take passes of the model."""
        with without_gradients():
            return self._make_runners()

    @property
    def runs(self) -> int:
        """Return how many runs of the head a coalition takes."""
        return len(self._runners)

    @property
    def cost(self) -> str:
        """Return a phrase that says what a coalition costs."""
        runs = "a run" if self.runs == 1 else counted(self.runs, "run")
        return f"{runs} each of the network behind the layer"

    def utilities(
        self, coalitions: Bool[Tensor, "a s n"], images: Int[Tensor, " a"], progress: BatchProgress | None = None
    ) -> Float[Tensor, "a s"]:
        """Return the mean utility of each coalition over the runners.

        A coalition is done after the last runner. For earlier runners `progress` is called with 0, so that it can end
        the work.
        """
        *others, last = self._runners
        none_done = None if progress is None else lambda _coalitions: progress(0)
        with without_gradients():
            by_others = [self._utilities_of(runner, coalitions, images, none_done) for runner in others]
            by_last = self._utilities_of(last, coalitions, images, progress)
        return torch.stack([*by_others, by_last]).mean(0)

    def _utilities_of(
        self, runner: HeadRunner, coalitions: Tensor, images: Tensor, progress: BatchProgress | None
    ) -> Tensor:
        """Return utilities by one runner, which evaluates the coalitions in the order that is fastest for it."""
        if not runner.sorts_by_presence:
            return self.batches.utilities(runner, coalitions, images, progress)
        sizes = self._sizes[images].to(coalitions.device)
        order = (coalitions.float() @ sizes[..., None]).squeeze(2).argsort(dim=1, stable=True)
        in_order = coalitions.gather(1, order[..., None].expand_as(coalitions))
        utilities = self.batches.utilities(runner, in_order, images, progress)
        return torch.empty_like(utilities).scatter(1, order, utilities)


def coalition_evaluator(
    trace: Trace,
    contents: Contents,
    players: Players,
    utility: Utility,
    target: Int[Tensor, " b"],
    memory: int,
    removal: Removal,
) -> CoalitionEvaluator:
    """Return the evaluator of coalitions for a removal; arguments as in `CoalitionEvaluator`.

    Raises:
        OptionError: the players are channels, which span all positions, and the removal works on some positions only.
    """
    make_runners = removal.runners
    if make_runners is None:
        return CoalitionEvaluator(trace, contents, players, utility, target, memory, removal)
    if isinstance(players.layout, ChannelLayout):
        raise OptionError(
            f"players 'channels' hold all places, and removal {removal.name!r} is of some of them; expected regions as "
            "players, or another removal"
        )
    return VaryingRemovalEvaluator(trace, contents, players, utility, target, memory, removal, make_runners)
