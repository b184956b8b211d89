"""The shortcut for heads reading a few rows of an attention, such as a class token's: coalitions as sums over tokens.

In the last attention of a vision transformer the class token attends to all tokens, and the rest of the head uses only
the class token. Each present or removed token has a term in the numerator and in the denominator of the softmax. A
coalition takes a product of its presence with a table of these terms, and one token through the rest of the head.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from shapleycam.errors import ReplayError
from shapleycam.game.attention import AttentionReader
from shapleycam.game.contents import Contents
from shapleycam.game.grad_modes import without_gradients
from shapleycam.game.head_recording import record_with_removal
from shapleycam.game.head_runner import TENSORS_AT_ONCE, HeadRunner, Images, LargestTensor, Presence
from shapleycam.game.shortcuts.image_tables import MOST_BYTES, ImageTables
from shapleycam.tracing import Trace


class ClassTokenRunner(HeadRunner):
    """Records the head once for each image, and computes coalitions from sums over tokens.

    `first` is the reader of the first image, if the proof has made it.
    """

    def __init__(self, trace: Trace, contents: Contents, first: AttentionReader | None = None) -> None:
        positions = contents.positions
        self._everything = positions.new_ones(1, positions.shape[1])
        self._readers = ImageTables(partial(_make_reader, trace, contents), lambda reader: reader.bytes_of_tables)
        if first is not None:
            self._readers.keep(0, first)
        for image in range(len(trace.activation)):  # each has to be proven
            if self._readers[image].bytes_of_tables > MOST_BYTES:
                raise ReplayError("the tables of tokens are larger than the memory for them")

    @cached_property
    def bytes_per_coalition(self) -> int:
        reader = self._readers.latest
        with LargestTensor() as largest:
            reader.output(self._everything)
        return TENSORS_AT_ONCE * max(int(largest.bytes), reader.bytes_per_coalition)

    def image_groups(self, images: int) -> list[list[int]]:
        return self._readers.groups(images)

    def reader(self, image: int) -> AttentionReader:
        """Return what an image's coalitions are read from."""
        return self._readers[image]

    def outputs(self, presence: Presence, images: Images) -> Any:
        return torch.cat(
            [self._readers[image].output(each) for each, image in zip(presence, images.tolist(), strict=True)]
        )


@without_gradients()
def _make_reader(trace: Trace, contents: Contents, image: int) -> AttentionReader:
    def head(rows: Tensor) -> Any:
        samples = torch.full((len(rows),), image, device=rows.device)
        return trace.head_of_any_size(rows, samples)

    one = slice(image, image + 1)
    reader = AttentionReader(record_with_removal(head, contents.activation[one], contents.empty[one]), contents.layout)
    reader.fill()
    return reader
