"""Photographs decoded and preprocessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import ImageError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.explaining.inputs import prepared
from shapleycam.images import Box, open_photograph
from shapleycam.models.network import Transform


@dataclass(frozen=True)
class Decoded:
    """One image of a dataset: the network's input (c, h, w) as an array, or why there is none.

    `size` (width, height) is the photograph's, `box` the part of it that the network sees, None if not known.
    """

    index: int
    array: np.ndarray[Any, Any] | None
    size: tuple[int, int] | None = None
    box: Box | None = None
    error: str | None = None

    @property
    def image(self) -> Float[Tensor, "c h w"]:
        """The network's input."""
        return torch.from_numpy(self.array)


def decode(dataset: Dataset, preprocess: Transform, index: int) -> Decoded:
    """One image of a dataset, or why there is none."""
    name = dataset.names[index]
    try:
        photo = open_photograph(dataset.open(index))
        image, source = prepared(photo, name, preprocess)
        # An array travels through a pipe; a tensor would need shared memory, of which containers have little.
        array = image.detach().cpu().to(torch.promote_types(image.dtype, torch.float32)).numpy()
    except ImageError as error:
        return Decoded(index, None, error=str(error))
    except Exception as error:  # noqa: BLE001  # a preprocessing of the user's stumbles over one photograph
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Decoded(index, None, error=f"{name}: preprocessing raised {reason}; mend preprocess=")
    return Decoded(index, array, photo.size, source.box)
