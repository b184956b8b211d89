"""`HeadRunner`, the interface for evaluating coalitions, and `GeneralRunner`, which is exact for every head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from shapleycam.game.contents import CoalitionContents, Contents
from shapleycam.game.dataflow import storage_address
from shapleycam.game.kept_runs import row_hashes
from shapleycam.game.rows_in_channels_last import RowsInChannelsLast
from shapleycam.tracing import Trace
from shapleycam.tracing.memory_views import has_storage

Presence: TypeAlias = Float[Tensor, "a s positions"]
"""1 where a position keeps its content and 0 where it is removed, for s coalitions of each of a images."""
Images: TypeAlias = Int[Tensor, " a"]
"""Indices of images in the traced batch."""
TENSORS_AT_ONCE = 3
"""How many tensors of the largest size an operation holds: its input, its output, and one more."""


class HeadRunner(ABC):
    """A way to compute the head's output for coalitions of positions of the images of a traced batch.

    A runner is made from the trace and the contents of present and absent positions. `GeneralRunner` is exact for every
    head. The runners in `shortcuts` are exact for heads of a certain structure, which is proven before they are used.

    Attributes:
        sorts_by_presence: whether a batch runs faster if its coalitions have the same number of positions.
    """

    sorts_by_presence = False

    @abstractmethod
    def __init__(self, trace: Trace, contents: Contents) -> None:
        """Precompute what all coalitions of the batch share."""

    @cached_property
    @abstractmethod
    def bytes_per_coalition(self) -> int:
        """Return about how many bytes one coalition takes."""

    @abstractmethod
    def outputs(self, presence: Presence, images: Images) -> Any:
        """Return the head's output for a x s coalitions as a · s rows, all coalitions of the first image first."""

    def image_groups(self, images: int) -> list[list[int]]:
        """Return the images 0, 1, … in groups; callers with many rounds finish one group before the next.

        A runner stores what the coalitions of an image share for one group at a time.
        """
        return [list(range(images))]

    @property
    def row_hashes(self) -> Sequence[bytes] | None:
        """Return for each image a hash of everything that its outputs depend on besides `presence` and the model.

        It is None if a run is too cheap to be cached, or if the outputs depend on something that is not hashed.
        """
        return None


class GeneralRunner(HeadRunner):
    """Runs the head itself, on the activation with the absent positions removed."""

    def __init__(self, trace: Trace, contents: CoalitionContents) -> None:
        self._trace, self._contents = trace, contents
        self._head = RowsInChannelsLast(trace, contents.layout)

    @cached_property
    def bytes_per_coalition(self) -> int:
        return TENSORS_AT_ONCE * self._largest

    @property
    def numbers_at_once(self) -> int:
        """Return the number of elements of the largest tensor in a run of the head for one coalition."""
        return max(1, self._largest // self._contents.activation.element_size())

    @cached_property
    def _largest(self) -> int:
        """Return the bytes of the largest tensor of a run of the head for one coalition."""
        activation = self._contents.activation
        first = torch.zeros(1, dtype=torch.long, device=activation.device)
        with LargestTensor() as largest:
            self._trace.head(activation[:1], first)
        return max(int(largest.bytes), int(activation[0].nbytes))

    def with_contents(self, contents: CoalitionContents) -> GeneralRunner:
        """Return a runner of the same head with other contents; it shares the measured memory of a coalition."""
        runner = copy(self)
        vars(runner).update(_contents=contents, bytes_per_coalition=self.bytes_per_coalition)
        vars(runner).pop("row_hashes", None)  # the cached hashes are of this runner's contents
        return runner

    @cached_property
    def row_hashes(self) -> Sequence[bytes] | None:
        return row_hashes(self._trace.images, *self._contents.tensors) if self._trace.extra.is_empty else None

    def outputs(self, presence: Presence, images: Images) -> Any:
        masked = self._contents.of_coalitions(presence, images)
        return self._head(masked.flatten(0, 1), images.repeat_interleave(presence.shape[1]))


class LargestTensor(TorchDispatchMode):
    """Context that records the size of the largest new tensor that an operation returns; views do not count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        value = func(*args, **(kwargs or {}))
        shared = {storage_address(argument) for argument in args if has_storage(argument)}
        if has_storage(value) and storage_address(value) not in shared:
            self.bytes = max(self.bytes, value.nbytes)
        return value
