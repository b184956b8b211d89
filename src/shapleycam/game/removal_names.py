"""Names of removals by content without a name of its own (tensors, photographs), with a hash of the content."""

from __future__ import annotations

import hashlib

from torch import Tensor

from shapleycam.wording import counted

_DIGITS = 12


def short_hash(content: bytes) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of some content."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def hash_of_tensor(tensor: Tensor) -> str:
    """Return a short hash of a tensor's shape and numbers; it does not depend on the device or the precision."""
    numbers = tensor.detach().cpu().double().contiguous()
    return short_hash(repr(tuple(numbers.shape)).encode() + numbers.numpy().tobytes())


def name_with_reference(name: str, photographs: int, content: str) -> str:
    """Return the name of a removal with this number of reference photographs; `content` is a hash of them.

    Examples:
        >>> name_with_reference("mean", 2, "489fd227c967")
        'mean of 2 reference photographs (489fd227c967)'
    """
    return f"{name} of {counted(photographs, 'reference photograph')} ({content})"
