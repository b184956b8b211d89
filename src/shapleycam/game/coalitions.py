"""`CoalitionEvaluator`: choose the cheapest way to evaluate coalitions, confirm it before use, check it after use."""

from __future__ import annotations

from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.game.coalition_batches import BatchProgress, CoalitionBatches
from shapleycam.game.confirmed_shortcuts import REFUSALS, ConfirmedShortcuts, row_of
from shapleycam.game.contents import Contents
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_runner import GeneralRunner, HeadRunner
from shapleycam.game.players import Players
from shapleycam.game.removal import Removal
from shapleycam.game.shortcut_check import ShortcutCheck
from shapleycam.game.shortcuts import SHORTCUTS, Shortcut
from shapleycam.game.shortcuts.averaged import AveragedRunner
from shapleycam.game.shortcuts.channel_means import ChannelMeansRunner
from shapleycam.game.shortcuts.class_token import ClassTokenRunner
from shapleycam.game.shortcuts.pooled import PooledRunner
from shapleycam.game.shortcuts.summed import SummedRunner
from shapleycam.game.shortcuts.windowed import WindowedRunner
from shapleycam.game.structure import Structure
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.tracing import Trace
from shapleycam.utilities import Utility

_Runner = TypeVar("_Runner", bound=HeadRunner)


class CoalitionEvaluator:
    """Evaluates the utility of coalitions for the images of a traced batch, by the cheapest runner that is exact.

    Attributes:
        batches: computes utilities with a given runner.
    """

    def __init__(
        self,
        trace: Trace,
        contents: Contents,
        players: Players,
        utility: Utility,
        target: Int[Tensor, " b"],
        memory: int,
        removal: Removal,
    ) -> None:
        self._image_count = len(contents.activation)
        self.batches = CoalitionBatches(players, utility, target, memory)
        self._check = ShortcutCheck(trace, contents, players)
        self._shortcuts = ConfirmedShortcuts(trace, contents, removal, self.batches, self._check)

    def utilities(
        self, coalitions: Bool[Tensor, "a s n"], images: Int[Tensor, " a"], progress: BatchProgress | None = None
    ) -> Float[Tensor, "a s"]:
        """Return U(head(A_S)) of coalitions S of the images `images`; `progress` is called after each batch.

        Raises:
            OptionError: the utility of a coalition is not finite.
            ReplayError: the pass was not recorded for replay, or a shortcut differs from the model itself.
        """
        with without_gradients():
            runner = self.runner_for(coalitions.shape[1])
            try:
                return self._utilities_by(runner, coalitions, images, progress)
            except REFUSALS as refusal:
                if is_out_of_memory(refusal) or not self._shortcuts.doubt(runner):
                    raise
            return self._utilities_by(self.runner_for(coalitions.shape[1]), coalitions, images, progress)

    def utilities_by_head(self, coalitions: Bool[Tensor, "a s n"], images: Int[Tensor, " a"]) -> Float[Tensor, "a s"]:
        """Return U(head(A_S)) of coalitions S by running the head, without a shortcut."""
        with without_gradients():
            return self.batches.utilities(self.general, coalitions, images)

    @property
    def structure(self) -> Structure:
        """Return the head's structure as its operations prove it and random coalitions confirm it.

        A window is only proven here. It is confirmed when it is first used, because its table is expensive.
        """
        has_window = self._proven.window is not None and not self._shortcuts.is_refused(WindowedRunner)
        averages = self.shortcut(AveragedRunner) is not None
        reads_channels = self.shortcut(ChannelMeansRunner) is not None
        return Structure(
            reads_mean=self.shortcut(PooledRunner) is not None,
            is_sum=self.shortcut(SummedRunner) is not None,
            averages_positions=averages,
            query_rows=self._proven.query_rows if self.shortcut(ClassTokenRunner) is not None else 0,
            window=self._proven.window if has_window else None,
            is_affine=self._proven.is_affine and (has_window or averages),
            reads_channel_means=reads_channels,
            is_sum_of_channels=self._proven.is_sum_of_channels and reads_channels,
            reads_prefix_alone=self._proven.reads_prefix_alone and averages,
        )

    @property
    def runner(self) -> HeadRunner:
        """Return the cheapest runner among those that need no runs of the head to be made."""
        return self.runner_for(0)

    def runner_for(self, coalitions: int) -> HeadRunner:
        """Return the cheapest runner that is exact for this head and pays for this number of coalitions per image.

        A shortcut pays if there are at least half as many coalitions as the runs of the head that making it costs (see
        `Window.runs`). Only this number decides, not what was evaluated before, so that a repeated call gives the same
        bits.
        """
        for shortcut in SHORTCUTS:
            runner = self.shortcut(shortcut.runner) if self._runs(shortcut) <= 2 * coalitions else None
            if runner is not None:
                return runner
        return self.general

    def image_groups(self, coalitions: int) -> list[list[int]]:
        """Return the images in groups that share a shortcut's tables, for this number of coalitions per image."""
        with without_gradients():
            return self.runner_for(coalitions).image_groups(self._image_count)

    @property
    def cost(self) -> str:
        """Return a phrase that says what a coalition costs, and why; a shortcut counts if `cheapest` returns it."""
        shortcut = self.cheapest
        if shortcut is None:
            return "a run each of the network behind the layer"
        cost = f"{shortcut.cost} each: behind the layer the output is {shortcut.head}"
        if self._proven.reads_prefix_alone:
            return f"{cost}; it reads the prefix tokens alone, so that all other players are worth 0"
        return cost

    @property
    def runs(self) -> int:
        """Return how many runs of the head a coalition takes without a shortcut."""
        return 1

    @property
    def cheapest(self) -> Shortcut | None:
        """Return the row of the cheapest shortcut, or None; a shortcut that takes runs counts only once it is made."""
        for shortcut in SHORTCUTS:
            if self._shortcuts.made(shortcut.runner) if self._runs(shortcut) else self.shortcut(shortcut.runner):
                return shortcut
        return None

    @property
    def general(self) -> GeneralRunner:
        """Return the runner that is exact for every head."""
        return self._shortcuts.general

    def shortcut(self, kind: type[_Runner]) -> _Runner | None:
        """Return the shortcut of this class if the head allows it, otherwise None."""
        return self._shortcuts.get(kind)

    def confirms(self, utilities: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> bool:
        """Return whether utilities of a shortcut equal the model's own, `expected`, up to rounding."""
        return self._check.confirms(utilities, expected)

    def check_shortcut(self, utilities: Float[Tensor, "*rows"], expected: Float[Tensor, "*rows"]) -> None:
        """Refuse utilities of a shortcut that differ from the model's own, `expected`.

        Raises:
            ReplayError: they differ by more than rounding.
        """
        self._check.refuse_difference(utilities, expected)

    def is_proven(self, kind: type[HeadRunner]) -> bool:
        """Return whether the head's operations prove that this shortcut is exact; coalitions may not confirm it yet."""
        return row_of(kind).is_allowed(self._proven)

    def _runs(self, shortcut: Shortcut) -> int:
        """Return the cost of making a shortcut, in runs of the head per image."""
        return 0 if self._proven.window is None else shortcut.runs(self._proven, self.general.numbers_at_once)

    @property
    def _proven(self) -> Structure:
        """Return what the head's operations prove."""
        return self._shortcuts.proven

    def _utilities_by(
        self, runner: HeadRunner, coalitions: Tensor, images: Tensor, progress: BatchProgress | None
    ) -> Tensor:
        """Return utilities by a runner; if it is a shortcut, compare some of them with the model's own."""
        utilities = self.batches.utilities(runner, coalitions, images, progress)
        if runner is not self.general and utilities.numel():
            self._spot_check(runner, coalitions, images, utilities)
            self._shortcuts.trust(runner)
        return utilities

    def _spot_check(self, runner: HeadRunner, coalitions: Tensor, images: Tensor, utilities: Tensor) -> None:
        """Compare some of the utilities that a shortcut returned with the model's own."""
        picked = self._check.pick(coalitions.shape[:2], coalitions.device)
        probes, probe_images = self._check.probes_of_strongest_image(images)
        probe_utilities = self.batches.utilities(runner, probes, probe_images)[:, 0]
        by_shortcut = torch.cat([utilities[picked], probe_utilities])
        both = torch.cat([coalitions[picked][:, None], probes])
        expected = self.batches.utilities(self.general, both, torch.cat([images[picked[0]], probe_images]))[:, 0]
        self.check_shortcut(by_shortcut, expected)
