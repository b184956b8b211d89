"""`decode_image`: decodes and preprocesses one photograph of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapleycam.errors import ImageError, OptionError
from shapleycam.experiments.datasets.dataset import Dataset
from shapleycam.experiments.datasets.snapshot import Snapshot
from shapleycam.explaining.photographs import prepare_photograph
from shapleycam.images import Box
from shapleycam.models.network import Transform
from shapleycam.printable import printable_text

CHANGED_DURING_RUN = "changed after the run began"
"""Part of the error of an image that was removed or changed; the next session measures an image with this error."""


@dataclass(frozen=True)
class DecodedImage:
    """One image of a dataset: the network's input, or the reason why it could not be read.

    Attributes:
        index: position in the dataset.
        array: the network's input (c, h, w); None if there is an error.
        size: (width, height) of the photograph in pixels.
        box: the part of the photograph that the network sees, in its pixels; None if unknown.
        error: why the image could not be read; None if it could.
        orientation: EXIF orientation of the file; 1 if the photograph is not rotated.
    """

    index: int
    array: np.ndarray[Any, Any] | None
    size: tuple[int, int] | None = None
    box: Box | None = None
    error: str | None = None
    orientation: int = 1

    @property
    def image(self) -> Float[Tensor, "c h w"]:
        """Return the network's input as a tensor, which shares the array's memory."""
        return torch.from_numpy(self.array)


def decode_image(dataset: Dataset, preprocess: Transform, index: int, snapshot: Snapshot | None = None) -> DecodedImage:
    """Return an image of a dataset as the network takes it; errors are returned in its `error`, not raised.

    An image whose content differs from the `snapshot` is an error.
    """
    name = dataset.names[index]
    try:
        image, source, size, orientation = prepare_photograph(dataset.open(index), preprocess, name)
        # Workers send an array through a pipe; a tensor would need shared memory, which is scarce in containers.
        array = image.detach().cpu().to(torch.promote_types(image.dtype, torch.float32)).numpy()
    except (ImageError, OptionError) as error:
        changed = f" (it was {CHANGED_DURING_RUN})" if _has_changed(dataset, index, snapshot) else ""
        return DecodedImage(index, None, error=f"{error}{changed}")
    except Exception as error:  # noqa: BLE001  # the user's preprocessing may raise anything for one photograph
        reason = printable_text(" ".join(f"{type(error).__name__}: {error}".split()))
        return DecodedImage(index, None, error=f"{name}: preprocessing raised {reason}; mend preprocess=")
    if _has_changed(dataset, index, snapshot):
        reason = f"its content was {CHANGED_DURING_RUN}; put it back, or evaluate into another folder"
        return DecodedImage(index, None, error=f"{name}: {reason}")
    return DecodedImage(index, array, size, source.box, orientation=orientation)


def _has_changed(dataset: Dataset, index: int, snapshot: Snapshot | None) -> bool:
    return snapshot is not None and snapshot.differs(dataset, index)
