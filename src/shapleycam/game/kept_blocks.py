"""Small tensors that are kept for long, together in a few large pieces of memory."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from math import prod

import torch
from torch import Tensor

_PIECE = 2**20
"""Numbers of a piece of memory: 4 MB of float32."""


class KeptBlocks(MutableMapping[bytes, Tensor]):
    """Tensors on the CPU by key, for what is kept between runs of a model.

    A tensor has memory of its own, and where thousands of small ones are made between the large activations of the
    runs, the holes beside them become too small for the next activation: a process that keeps freed memory
    (`allocator.keep_large_blocks`) grew by 0.7 GB a minute. So the numbers are copied into large pieces.

    Examples:
        >>> import torch
        >>> from shapleycam.game.kept_blocks import KeptBlocks
        >>> blocks = KeptBlocks()
        >>> blocks[b"first"], blocks[b"second"] = torch.ones(1, 2), torch.zeros(3)
        >>> blocks[b"first"], len(blocks)
        (tensor([[1., 1.]]), 2)
    """

    def __init__(self) -> None:
        self._places: dict[bytes, tuple[Tensor, int, tuple[int, ...]]] = {}
        self._pieces: dict[torch.dtype, tuple[Tensor, int]] = {}

    def __getitem__(self, key: bytes) -> Tensor:
        """Return the tensor of a key, in the memory where it is kept."""
        piece, start, shape = self._places[key]
        return piece[start : start + prod(shape)].view(shape)

    def __setitem__(self, key: bytes, block: Tensor) -> None:
        """Keep a copy of a tensor."""
        piece, start = self._pieces.get(block.dtype, (block.new_empty(0), 0))
        if start + block.numel() > len(piece):
            piece, start = block.new_empty(max(_PIECE, block.numel())), 0
        self._places[key] = piece, start, tuple(block.shape)
        self._pieces[block.dtype] = piece, start + block.numel()
        self[key].copy_(block)

    def __delitem__(self, key: bytes) -> None:
        """Forget a key; its place is not used again."""
        del self._places[key]

    def __iter__(self) -> Iterator[bytes]:
        """Return the keys in the order in which they were kept."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._places)
