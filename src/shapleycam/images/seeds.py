"""Random seeds for images, computed from their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import index
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from shapleycam.errors import OptionError

Seed: TypeAlias = "int | Sequence[int]"
"""The user's seed, which is combined with each image's content; or a list of seeds that are used directly."""

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
"""The range of seeds that PyTorch's generators accept."""
_PAIRS_AT_ONCE = 2**20
"""Pairs of numbers that are multiplied at once, which bounds the memory for the products."""


def content_seeds(images: Float[Tensor, "b *shape"], seed: Seed) -> list[int]:
    """Return one seed per image, from its preprocessed content and the user's seed.

    An image's seed does not depend on the other images of its batch. A list of one seed per image is returned
    unchanged.

    Raises:
        OptionError: the seeds are not integers of at most 64 bits, or there are not as many as images.

    Examples:
        >>> import torch
        >>> from shapleycam.images import content_seeds
        >>> images = torch.rand(2, 3, 4, 4)
        >>> content_seeds(images, 0)[1:] == content_seeds(images[1:], 0), content_seeds(images, [7, 8])
        (True, [7, 8])
    """
    number, numbers = _whole_numbers(seed, len(images))
    if number is None:
        return numbers
    user = number.to_bytes(16, "little", signed=True)
    seeds = []
    for fingerprint in _fingerprints(images):
        digest = hashlib.sha256(user + fingerprint.to_bytes(8, "little", signed=True)).digest()
        seeds.append(int.from_bytes(digest[:8], "little") >> 1)
    return seeds


def _whole_numbers(seed: Seed, images: int) -> tuple[int | None, list[int]]:
    """Return (seed, []) for a single seed, or (None, seeds) for a list of one seed per image.

    Raises:
        OptionError: as `content_seeds`.
    """
    expected = f"expected a whole number, or a list of {images} of them, one for each image"
    number, numbers = _index_or_none(seed), list[int]()
    if number is None:
        given = [] if isinstance(seed, str) or not isinstance(seed, Iterable) else [*map(_index_or_none, seed)]
        numbers = [each for each in given if each is not None]
        if not given or len(numbers) != len(given):
            raise OptionError(f"seed is {seed!r}; {expected}")
        if len(numbers) != images:
            raise OptionError(f"seeds given: {len(numbers)}, images: {images}; {expected}")
    if not all(_SMALLEST <= each <= _LARGEST for each in ([number] if number is not None else numbers)):
        raise OptionError(f"seed is {seed!r}; expected a number from -2^63 to 2^64 - 1")
    return number, numbers


def _index_or_none(value: object) -> int | None:
    """Return an integer of any type (also NumPy's and PyTorch's) as int; None for anything else."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _fingerprints(images: Float[Tensor, "b *shape"]) -> list[int]:
    """Return a 64-bit fingerprint per image.

    Pairs of float32 numbers are read as 64-bit integers and summed, each times an odd multiplier of its position.
    Integer sums are exact, so all devices return the same. Images on a GPU stay there, because copying and hashing 128
    photographs took a tenth of a second.
    """
    numbers = images.detach().float().flatten(1)
    pairs = pad(numbers, (0, numbers.shape[1] % 2)).contiguous().view(torch.int64)
    multipliers = _odd_numbers(pairs.shape[1], pairs.device)
    parts = pairs.split(max(1, _PAIRS_AT_ONCE // max(1, pairs.shape[1])))
    return torch.cat([(part * multipliers).sum(1) for part in parts]).tolist()


@lru_cache(maxsize=4)
def _odd_numbers(count: int, device: torch.device) -> Int[Tensor, " count"]:
    """Return pseudo-random odd numbers of 64 bits (the finalizer of SplitMix64: Steele et al. 2014)."""
    mixed = torch.arange(1, count + 1, device=device) * -0x61C8864680B583EB
    mixed = (mixed ^ (mixed >> 30)) * -0x40A7B892E31B1A47
    mixed = (mixed ^ (mixed >> 27)) * -0x6B2FB644ECCEEE15
    return (mixed ^ (mixed >> 31)) | 1


def further_seed(seed: int) -> int:
    """Return a seed for a second generator whose numbers are independent of those from a generator with `seed`.

    The seeds differ in their low 32 bits, because PyTorch's CPU generator reads only these.

    Examples:
        >>> import torch
        >>> from shapleycam.images.seeds import further_seed
        >>> first, second = torch.Generator().manual_seed(7), torch.Generator().manual_seed(further_seed(7))
        >>> bool((torch.rand(4, generator=first) == torch.rand(4, generator=second)).any())
        False
    """
    digest = hashlib.sha256(b"further" + seed.to_bytes(16, "little", signed=True)).digest()
    return int.from_bytes(digest[:8], "little") >> 1
