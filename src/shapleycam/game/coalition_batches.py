"""Compute utilities of coalitions with one runner of the head, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapleycam.errors import OptionError
from shapleycam.game.head_runner import HeadRunner, Images, Presence
from shapleycam.game.kept_runs import bytes_of, current_kept_runs
from shapleycam.game.players import Players
from shapleycam.game.shortcut_check import PROBES
from shapleycam.utilities import UTILITIES, Utility

BatchProgress: TypeAlias = Callable[[int], None]
"""A function that is called after each batch with the number of coalitions in it; an exception ends the evaluation."""


class CoalitionBatches:
    """Computes the utility of coalitions for the images of a traced batch, in batches of about `memory` bytes."""

    def __init__(self, players: Players, utility: Utility, target: Int[Tensor, " b"], memory: int) -> None:
        self._players, self._utility, self._target = players, utility, target
        self._memory = memory

    def utilities(
        self,
        runner: HeadRunner,
        coalitions: Bool[Tensor, "a s n"],
        images: Int[Tensor, " a"],
        progress: BatchProgress | None = None,
    ) -> Tensor:
        """Return the utilities (a, s) of coalitions, computed by one runner, batch by batch.

        Raises:
            OptionError: a utility is not finite.
        """
        images_count, coalitions_count = coalitions.shape[:2]
        # A few coalitions always fit. So we do not measure the memory of a coalition for them, which takes a run.
        are_few = images_count * coalitions_count <= 2 * PROBES
        rows_at_once = PROBES if are_few else max(1, self._memory // runner.bytes_per_coalition)
        utilities = torch.empty(coalitions.shape[:2], dtype=torch.float32, device=coalitions.device)
        for image_slice, coalition_slice in _blocks(images_count, coalitions_count, rows_at_once):
            chosen = images[image_slice]
            presence = self._players.presence(coalitions[image_slice, coalition_slice].float(), chosen)
            block = self._utilities_of_block(runner, presence, chosen)
            utilities = utilities.to(block.dtype)
            utilities[image_slice, coalition_slice] = block
            if progress is not None:
                progress(block.numel())
        check_finite_without(utilities, self._utility, "some")
        return utilities

    def _utilities_of_block(self, runner: HeadRunner, presence: Presence, images: Images) -> Float[Tensor, "a s"]:
        """Return the utilities of coalitions that fit into memory, from the cache of runs if there is one."""
        kept, hashes = current_kept_runs(), None
        # Only the name of a utility of the table identifies it, so that it can be part of the cache's key.
        if kept is not None and UTILITIES.get(self._utility.name) is self._utility:
            hashes = runner.row_hashes
        if kept is None or hashes is None:
            return self._compute(runner, presence, images)
        indices = images.tolist()
        names = f"{type(runner).__qualname__} {self._utility.name} {tuple(presence.shape)} {presence.dtype}"
        classes = self._target[images.to(self._target.device)]
        made_of = [names.encode(), bytes_of(presence), bytes_of(classes), *(hashes[index] for index in indices)]
        return kept.utilities(made_of, lambda: self._compute(runner, presence, images), presence.device)

    def _compute(self, runner: HeadRunner, presence: Presence, images: Images) -> Float[Tensor, "a s"]:
        samples = images.repeat_interleave(presence.shape[1])
        output = runner.outputs(presence, images)
        target = self._target[samples.to(self._target.device)]
        return self._utility(output, target, samples).reshape(presence.shape[:2])


def check_utilities_finite(
    utilities: Float[Tensor, "*rows"], utility: Utility, where: str = "", remedy: str = ""
) -> None:
    """Refuse utilities that are not finite; the message says `where` they occur and what to do (`remedy`).

    Raises:
        OptionError: showing up to three of them.
    """
    if not bool(torch.isfinite(utilities).all()):
        examples = utilities[~torch.isfinite(utilities)][:3].tolist()
        raise OptionError(
            f"utility {utility.name!r} is not finite ({examples}){where}; expected a finite number an image{remedy}"
        )


def check_finite_without(utilities: Float[Tensor, "*rows"], utility: Utility, absent: str) -> None:
    """Refuse utilities of coalitions that are not finite; `absent` says how many players are removed.

    Raises:
        OptionError: showing up to three of them.
    """
    remedy = ": choose another removal, or another utility"
    check_utilities_finite(utilities, utility, f" where {absent} players are removed", remedy)


def check_masked_finite(utilities: Float[Tensor, "*rows"], utility: Utility) -> None:
    """Refuse utilities of masked images that are not finite.

    Raises:
        OptionError: showing up to three of them.
    """
    remedy = ": choose a method that does not mask images, or another utility"
    check_utilities_finite(utilities, utility, " for a masked image", remedy)


def _blocks(images: int, coalitions: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of images and of coalitions; the blocks cover images x coalitions, each with at most `rows`."""
    images_at_once = max(1, rows // max(1, coalitions))
    coalitions_at_once = min(rows, max(1, coalitions))
    for image in range(0, images, images_at_once):
        for start in range(0, coalitions, coalitions_at_once):
            yield slice(image, image + images_at_once), slice(start, start + coalitions_at_once)
