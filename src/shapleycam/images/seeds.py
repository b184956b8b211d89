"""Random seeds of images, made from their content."""

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
"""The user's seed, which counts together with each image's content; or one for each image, in place of both."""

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
"""The seeds that PyTorch's generators take."""
_PAIRS_AT_ONCE = 2**20
"""Pairs of numbers that are multiplied at once, so that the products fit into little memory."""


def content_seeds(images: Float[Tensor, "b *shape"], seed: Seed) -> list[int]:
    """Return one seed an image, from its preprocessed content and the user's seed.

    An image's seed does not depend on the batch that it is in. Seeds that are one for each image are returned as
    they are.

    Raises:
        OptionError: no whole numbers of at most 64 bits, or another number of seeds than of images.

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
    """Return the user's seed, or None and those of each image.

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
    """Return a whole number of any type, of NumPy and PyTorch too; None for anything else."""
    try:
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _fingerprints(images: Float[Tensor, "b *shape"]) -> list[int]:
    """Return 64 bits an image: its numbers, two at a time, as integers, each times an odd multiplier of its place.

    Sums of integers are exact, so that all devices return the same, and images on a GPU stay there: to copy and to
    hash 128 photographs took a tenth of a second.
    """
    numbers = images.detach().float().flatten(1)
    pairs = pad(numbers, (0, numbers.shape[1] % 2)).contiguous().view(torch.int64)
    multipliers = _odd_numbers(pairs.shape[1], pairs.device)
    parts = pairs.split(max(1, _PAIRS_AT_ONCE // max(1, pairs.shape[1])))
    return torch.cat([(part * multipliers).sum(1) for part in parts]).tolist()


@lru_cache(maxsize=4)
def _odd_numbers(count: int, device: torch.device) -> Int[Tensor, " count"]:
    """Return well mixed odd numbers of 64 bits (the finalizer of SplitMix64: Steele et al. 2014)."""
    mixed = torch.arange(1, count + 1, device=device) * -0x61C8864680B583EB
    mixed = (mixed ^ (mixed >> 30)) * -0x40A7B892E31B1A47
    mixed = (mixed ^ (mixed >> 27)) * -0x6B2FB644ECCEEE15
    return (mixed ^ (mixed >> 31)) | 1


def further_seed(seed: int) -> int:
    """Return the seed of a second generator, whose numbers are independent of those of a generator with this seed.

    It differs in the low 32 bits, the only ones that PyTorch's generator on a CPU reads.

    Examples:
        >>> import torch
        >>> from shapleycam.images.seeds import further_seed
        >>> first, second = torch.Generator().manual_seed(7), torch.Generator().manual_seed(further_seed(7))
        >>> bool((torch.rand(4, generator=first) == torch.rand(4, generator=second)).any())
        False
    """
    digest = hashlib.sha256(b"further" + seed.to_bytes(16, "little", signed=True)).digest()
    return int.from_bytes(digest[:8], "little") >> 1
