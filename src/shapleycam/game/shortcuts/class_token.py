"""The shortcut for heads that read a few rows of an attention, as a class token's: coalitions are sums over tokens.

In a vision transformer's last attention the class token reads the tokens, and what follows goes on with it alone. Each
token adds to the numerator and denominator of the softmax what it holds, or what a removed one does; a coalition is one
product of its presence with a table of these, and one token through the rest of the head.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import ReplayError
from shapleycam.game.attention import AttentionReader
from shapleycam.game.contents import Contents
from shapleycam.game.head_recording import HeadRecording, record_with_removal
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, LargestTensor, Presence
from shapleycam.tracing import Trace

_MOST_BYTES = 2**29
"""Bytes that the tables of all images may take together."""


class ClassTokenRunner(HeadRunner):
    """Records the head once an image, present and removed, and computes coalitions from sums over tokens."""

    def __init__(self, trace: Trace, contents: Contents) -> None:
        self._readers: list[AttentionReader] = []
        positions = contents.positions
        self._everything = positions.new_ones(1, positions.shape[1])
        for image in range(len(trace.activation)):
            reader = AttentionReader(_record(trace, contents, image), contents.layout)
            reader.fill()
            self._readers.append(reader)
            if reader.bytes_of_tables * len(trace.activation) > _MOST_BYTES:
                raise ReplayError("the tables of tokens are larger than the memory for them")

    @cached_property
    def bytes_per_coalition(self) -> int:
        reader = self._readers[0]
        with LargestTensor() as largest:
            reader.output(self._everything)
        return TENSORS_AT_ONCE * max(int(largest.bytes), reader.bytes_per_coalition)

    def reader(self, image: int) -> AttentionReader:
        """Return what an image's coalitions are read from."""
        return self._readers[image]

    def outputs(self, presence: Presence, images: Images) -> Any:
        return torch.cat(
            [self._readers[image].output(each) for each, image in zip(presence, images.tolist(), strict=True)]
        )


def _record(trace: Trace, contents: Contents, image: int) -> HeadRecording:
    def head(rows: Tensor) -> Any:
        samples = torch.full((len(rows),), image, device=rows.device)
        return trace.head_of_any_size(rows, samples)

    return record_with_removal(head, contents.activation[image : image + 1], contents.empty[image : image + 1])
