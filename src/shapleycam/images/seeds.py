"""Random seeds of images, made from their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Seed: TypeAlias = "int | Sequence[int]"
"""The user's seed, which counts together with each image's content; or one for each image, in place of both."""


def content_seeds(images: Float[Tensor, "b *shape"], seed: Seed) -> list[int]:
    """Return one seed an image, from its preprocessed content and the user's seed.

    An image's seed does not depend on the batch that it is in. Seeds that are one for each image are returned as
    they are.

    Examples:
        >>> import torch
        >>> from shapleycam.images import content_seeds
        >>> images = torch.rand(2, 3, 4, 4)
        >>> content_seeds(images, 0)[1:] == content_seeds(images[1:], 0), content_seeds(images, [7, 8])
        (True, [7, 8])
    """
    if not isinstance(seed, int):
        return list(seed)
    raw = images.detach().float().cpu().contiguous().numpy()
    seeds = []
    for image in raw:
        key = hashlib.sha256(seed.to_bytes(16, "little", signed=True))
        key.update(image)  # without a copy of the image
        seeds.append(int.from_bytes(key.digest()[:8], "little") >> 1)
    return seeds


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
