"""Three ways to run the head for coalitions: as it is, on means over positions, or as a sum over positions.

Each takes what the positions show, `kept` (a, s, positions) of 0 and 1, for the images `images` (a,) of the batch, and
gives the head's output for all a x s coalitions. The last two are right only for heads of that structure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from shapleycam.models.layout import Layout
from shapleycam.tracing import Trace

Kept = Float[Tensor, "a s positions"]
Images = Int[Tensor, " a"]
_AT_ONCE = 3
"""How many tensors of the largest kind a head holds at a time: what goes in, what comes out, and one beside them."""


class Way(ABC):
    """How coalitions are turned into outputs."""

    @cached_property
    @abstractmethod
    def bytes_a_coalition(self) -> int:
        """What one coalition takes of memory, about."""

    @abstractmethod
    def outputs(self, kept: Kept, images: Images) -> Any:
        """The output of coalitions a x s, image by image."""


class General(Way):
    """The head itself, on the activation with the other positions zeroed."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        self._trace, self._layout = trace, layout
        self._activation = trace.activation.detach()

    @cached_property
    def bytes_a_coalition(self) -> int:
        first = torch.zeros(1, dtype=torch.long, device=self._activation.device)
        with _Largest() as largest:
            self._trace.head(self._activation[:1], first)
        return _AT_ONCE * max(int(largest.bytes), int(self._activation[0].nbytes))

    def outputs(self, kept: Kept, images: Images) -> Any:
        masked = self._activation[images][:, None] * self._layout.broadcast(kept.to(self._activation.dtype))
        return self._trace.head(masked.flatten(0, 1), images.repeat_interleave(kept.shape[1]))


class Pooled(Way):
    """The head on one position, the mean of the activation: for a head that reads nothing else of it."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        self._trace, self._layout = trace, layout
        contents = layout.positions(trace.activation.detach())
        self._shares = contents / contents.shape[1]
        self._width = max(contents.shape[1] + contents.shape[2], prod(trace.output.shape[1:]))

    @cached_property
    def bytes_a_coalition(self) -> int:
        return int(_AT_ONCE * self._shares.element_size() * self._width)

    def outputs(self, kept: Kept, images: Images) -> Float[Tensor, "rows *out"]:
        means = torch.bmm(kept.to(self._shares.dtype), self._shares[images]).flatten(0, 1)
        samples = images.repeat_interleave(kept.shape[1])
        output: Tensor = self._trace.head_of_any_size(self._layout.single_position(means), samples)
        return output


class Summed(Way):
    """A sum over positions of what each one's content gives alone: for a head whose output is such a sum."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        contents = layout.positions(trace.activation.detach())
        images, places, channels = contents.shape
        alone = torch.cat([contents, contents.new_zeros(images, 1, channels)], 1)
        samples = torch.arange(images, device=alone.device).repeat_interleave(places + 1)
        output = trace.head_of_any_size(layout.single_position(alone.flatten(0, 1)), samples).unflatten(
            0, (images, places + 1)
        )
        self._shape = output.shape[2:]
        output = output.flatten(2)
        self._empty = output[:, -1:]
        self._shares = (output[:, :-1] - self._empty) / places

    @cached_property
    def bytes_a_coalition(self) -> int:
        return int(_AT_ONCE * self._shares.element_size() * sum(self._shares.shape[1:]))

    def outputs(self, kept: Kept, images: Images) -> Float[Tensor, "rows *out"]:
        shares = self._shares[images]
        output = torch.baddbmm(self._empty[images], kept.to(shares.dtype), shares).flatten(0, 1)
        return output.reshape(len(output), *self._shape)


class _Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation inside returns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        value = func(*args, **(kwargs or {}))
        shared = {a.untyped_storage().data_ptr() for a in args if isinstance(a, torch.Tensor)}
        if isinstance(value, torch.Tensor) and value.untyped_storage().data_ptr() not in shared:  # views take nothing
            self.bytes = max(self.bytes, value.nbytes)
        return value
