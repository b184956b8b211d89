"""`distinct_images`: skips repeated images, which are not independent and would make intervals too narrow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import RepeatedImageWarning, warn
from shapleycam.explaining.inputs import Batch
from shapleycam.explaining.question import UtilityChoice
from shapleycam.fidelity.input_reference import name_of
from shapleycam.utilities import Utility


def distinct_images(batches: Iterable[Batch], utilities: Iterable[UtilityChoice] = ()) -> Iterator[Batch]:
    """Yield batches without repeated images, and warn about these; images with the same content are the same.

    Batches with further inputs, or with a utility that has data for each image, are yielded unchanged, because these
    may differ between images with the same content.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> from shapleycam.errors import ShapleyCamWarning, ignore_warnings
        >>> from shapleycam.explaining.inputs import batch_of
        >>> from shapleycam.fidelity.distinct import distinct_images
        >>> first, second = torch.rand(2, 1, 3, 8, 8)
        >>> batch = batch_of(torch.cat([first, second, first]), None, nn.Conv2d(3, 1, 1))
        >>> with ignore_warnings():
        ...     [len(distinct.images) for distinct in distinct_images([batch])]
        [2]
    """
    have_data = any(isinstance(utility, Utility) and utility.image_data is not None for utility in utilities)
    seen: dict[str, str] = {}
    for batch in batches:
        if have_data or not batch.extra.is_empty:
            yield batch
            continue
        new = [
            index for index, source in enumerate(batch.sources) if _is_new(batch.images[index], name_of(source), seen)
        ]
        if len(new) == len(batch.images):
            yield batch
        elif new:
            yield batch.rows(torch.tensor(new, device="cpu"))


def _is_new(image: Float[Tensor, "*image"], name: str, seen: dict[str, str]) -> bool:
    """Return whether an image is not in `seen`, and add it; warn if it is in `seen`."""
    content = image.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest in seen:
        warn(
            RepeatedImageWarning,
            f"{name} is the same photograph as {seen[digest]}, as the network sees it; it counts once, since a second "
            "time would make intervals too narrow: give each photograph once",
        )
        return False
    seen[digest] = name
    return True
