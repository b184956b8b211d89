"""COCO's run lengths of masks: pixels outside and inside in turn, column after column, as numbers or as a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from shapleycam.errors import OptionError

_FIRST_CHARACTER, _MORE, _SIGN, _BITS = 48, 32, 16, 5
"""A number is written in characters from "0" on, of five bits each and a sixth that says whether more follow."""


def from_run_lengths(counts: Any, size: Sequence[int], place: int) -> Bool[Tensor, "H W"]:
    """Return a mask (H, W) of COCO's run lengths, `size` being (height, width); `place` is for messages.

    Raises:
        OptionError: they are no run lengths, or not of so many pixels.

    Examples:
        >>> from shapleycam.explaining.run_lengths import from_run_lengths
        >>> from_run_lengths([1, 2, 1], (2, 2), 0).int().tolist()  # down the first column, then down the second
        [[0, 1], [1, 0]]
    """
    height, width = size
    try:
        lengths = _decoded(counts) if isinstance(counts, (str, bytes)) else [int(count) for count in counts]
    except (TypeError, ValueError, IndexError):
        raise OptionError(f"mask {place} has run lengths that cannot be read; expected COCO's counts") from None
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise OptionError(
            f"mask {place} has run lengths of {sum(lengths):,} pixels; expected those of {height} x {width}, "
            f"{height * width:,}"
        )
    is_inside = torch.arange(len(lengths), device="cpu") % 2 == 1
    columns = is_inside.repeat_interleave(torch.tensor(lengths, dtype=torch.long, device="cpu"))
    return columns.reshape(width, height).T


def _decoded(text: str | bytes) -> list[int]:
    """Return the numbers of a compressed text; from the third on, each is the difference from the one two before."""
    characters = [value - _FIRST_CHARACTER for value in (text.encode() if isinstance(text, str) else text)]
    lengths: list[int] = []
    position = 0
    while position < len(characters):
        number, shift, has_more = 0, 0, True
        while has_more:
            value = characters[position]
            number |= (value & (_MORE - 1)) << shift
            shift += _BITS
            has_more = bool(value & _MORE)
            position += 1
        if value & _SIGN:
            number -= 1 << shift
        lengths.append(number + lengths[-2] if len(lengths) > 2 else number)
    return lengths
