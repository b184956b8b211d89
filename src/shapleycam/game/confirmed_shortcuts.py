"""`ConfirmedShortcuts`: the shortcuts that a head's operations prove and that coalitions confirm."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

from torch import Tensor

from shapleycam.errors import ShapleyCamError
from shapleycam.game.attention import NotProvenError
from shapleycam.game.channels import prove_for_players
from shapleycam.game.coalition_batches import CoalitionBatches
from shapleycam.game.contents import Contents
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_runner import GeneralRunner, HeadRunner
from shapleycam.game.kept_proofs import is_kept, keep
from shapleycam.game.removal import Removal
from shapleycam.game.shortcut_check import ShortcutCheck
from shapleycam.game.shortcuts import SHORTCUTS, Shortcut
from shapleycam.game.structure import NOTHING_PROVEN, Proof, Structure
from shapleycam.gpu_failures import is_out_of_memory
from shapleycam.tracing import Trace

REFUSALS = (ShapleyCamError, NotProvenError, RuntimeError)
"""Errors of a head that does not accept a shortcut's inputs; any other error is a bug of the shortcut."""
_Runner = TypeVar("_Runner", bound=HeadRunner)


class ConfirmedShortcuts:
    """Proves a head's structure, and makes the shortcuts that it allows.

    A shortcut is compared with the model on some coalitions before its first use. A shortcut that was confirmed for an
    earlier batch with the same proof is compared only after its first use: the caller then calls `trust` if the
    utilities agree, and `doubt` if they do not.
    """

    def __init__(
        self, trace: Trace, contents: Contents, removal: Removal, batches: CoalitionBatches, check: ShortcutCheck
    ) -> None:
        self._trace, self._contents, self._removal = trace, contents, removal
        self._batches, self._check = batches, check
        self._proof: Proof | None = None
        self._probes: tuple[Tensor, Tensor, Tensor] | None = None
        self._confirmed: dict[type[HeadRunner], HeadRunner | None] = {}
        self._untried: HeadRunner | None = None

    @cached_property
    def general(self) -> GeneralRunner:
        """Return the runner that is exact for every head."""
        return GeneralRunner(self._trace, self._contents)

    @property
    def proof(self) -> Proof:
        """Return what the head's operations prove."""
        if not self._removal.is_fixed:
            return NOTHING_PROVEN
        if self._proof is None:
            self._proof = prove_for_players(self._trace, self._contents, self._removal)
        return self._proof

    @property
    def proven(self) -> Structure:
        """Return the structure that the head's operations prove."""
        return self.proof.structure

    def get(self, kind: type[_Runner]) -> _Runner | None:
        """Return the shortcut of this class if the head allows it, otherwise None."""
        if kind not in self._confirmed:
            shortcut = row_of(kind)
            self._confirmed[kind] = self._confirm(shortcut) if shortcut.is_allowed(self.proven) else None
        runner = self._confirmed[kind]
        return runner if isinstance(runner, kind) else None

    def made(self, kind: type[HeadRunner]) -> HeadRunner | None:
        """Return the shortcut of this class if `get` has made and confirmed it before, otherwise None."""
        return self._confirmed.get(kind)

    def is_refused(self, kind: type[HeadRunner]) -> bool:
        """Return whether `get` has refused the shortcut of this class before."""
        return kind in self._confirmed and self._confirmed[kind] is None

    def trust(self, runner: HeadRunner) -> None:
        """Record that a shortcut's utilities agree with the model's, so that it counts as confirmed for this batch."""
        if runner is self._untried:
            self._untried = None

    def doubt(self, runner: HeadRunner) -> bool:
        """Discard the proof if the shortcut was not yet confirmed for this batch; return whether it was discarded.

        The next use then proves the head again.
        """
        if runner is not self._untried:
            return False
        keep(self._trace, self.proof, holds=False)
        self._proof = self._untried = None
        self._confirmed.clear()
        return True

    def _confirm(self, shortcut: Shortcut) -> HeadRunner | None:
        """Return a proven shortcut if it also gives the model's utilities for the probes, otherwise None.

        An unconfirmed shortcut is not an error, because no result depends on it yet: see "A wrong shortcut is an error,
        an unconfirmed one is not used" in docs/decisions.md.
        """
        with without_gradients():
            try:
                runner = shortcut.make(self._trace, self._contents, self.proof)
                is_sole = self.proof.reader is not None or self.proven.reads_channel_means
                if is_sole and is_kept(self._trace, self.proof):
                    self._untried = runner
                    return runner
                coalitions, images, expected = self._probe_utilities()
                utilities = self._batches.utilities(runner, coalitions, images)
            except REFUSALS as refusal:
                if is_out_of_memory(refusal):
                    raise
                return None
            if not self._check.confirms(utilities, expected):
                return None
            keep(self._trace, self.proof)
            return runner

    def _probe_utilities(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the probes: coalitions (p, 1, n), their images (p,), and the model's own utilities (p, 1)."""
        if self._probes is None:
            coalitions, images = self._check.probes()
            self._probes = coalitions, images, self._batches.utilities(self.general, coalitions, images)
        return self._probes


def row_of(kind: type[HeadRunner]) -> Shortcut:
    """Return the row of a shortcut's class in the table."""
    return next(shortcut for shortcut in SHORTCUTS if shortcut.runner is kind)
