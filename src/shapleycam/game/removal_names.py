"""Names of removals whose content has no name of its own: by a hash of it."""

from __future__ import annotations

import hashlib

from torch import Tensor

from shapleycam.wording import counted

_DIGITS = 12


def short_hash(content: bytes) -> str:
    """Return twelve hexadecimal digits that stand for some content."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def hash_of_tensor(tensor: Tensor) -> str:
    """Return a few digits that stand for the shape and the numbers of a tensor, on any device and in any precision."""
    numbers = tensor.detach().cpu().double().contiguous()
    return short_hash(repr(tuple(numbers.shape)).encode() + numbers.numpy().tobytes())


def name_with_reference(name: str, photographs: int, content: str) -> str:
    """Return the name of a removal by so many reference photographs; `content` stands for what they are.

    Examples:
        >>> name_with_reference("mean", 2, "489fd227c967")
        'mean of 2 reference photographs (489fd227c967)'
    """
    return f"{name} of {counted(photographs, 'reference photograph')} ({content})"
