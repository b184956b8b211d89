"""Prepare photographs for the network: open them upright, preprocess them, stack them to a batch.

The explainer, the command line, datasets, reports and the page all make tensors from photographs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError
from shapleycam.explaining.batch import Batch, move_to_model
from shapleycam.explaining.repeatable import check_repeatable
from shapleycam.images import Photo, Source, open_with_orientation
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.processed_image import processed_image
from shapleycam.printable import printable_name


class PreparedPhotograph(NamedTuple):
    """A photograph as the network takes it.

    Attributes:
        image: the preprocessed image (c, h, w).
        source: where it came from.
        size: (width, height) of the upright photograph; None if it is not known.
        orientation: the EXIF orientation of its file; 1 for a file that is stored upright.
    """

    image: Tensor
    source: Source
    size: tuple[int, int] | None = None
    orientation: int = 1


def prepare_photograph(photo: Photo, preprocess: Transform, name: str | None = None) -> PreparedPhotograph:
    """Open a photograph and preprocess it.

    Args:
        photo: a path or a PIL image.
        preprocess: a function from an RGB PIL image to a tensor (c, h, w).
        name: the name of the source; None takes the file's name.

    Raises:
        ImageError: it cannot be read, or `preprocess` raises or returns no image (c, h, w).
        OptionError: `preprocess` is random.

    Examples:
        >>> import matplotlib, shapleycam
        >>> from shapleycam.explaining.photographs import prepare_photograph
        >>> photo = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
        >>> half = (0.5, 0.5, 0.5)
        >>> prepared = prepare_photograph(photo, shapleycam.Preprocess(resize=36, crop=(32, 32), mean=half, std=half))
        >>> prepared.image.shape, prepared.source.name, prepared.size
        (torch.Size([3, 32, 32]), 'grace_hopper.jpg', (512, 600))
    """
    if not isinstance(photo, (str, Path, Image.Image)):
        raise ImageError(f"{name or 'the image'} is a {type(photo).__name__}; expected a path or a PIL image")
    opened, orientation = open_with_orientation(photo)
    source = photo if isinstance(photo, Image.Image) else Path(photo)
    full_name = name or (printable_name(source.name) if isinstance(source, Path) else "image")
    try:
        check_repeatable(preprocess, opened)
        image = processed_image(preprocess, opened)
    except ImageError as error:
        raise ImageError(f"{full_name}: {error}") from error
    box = preprocess.box(opened.size) if isinstance(preprocess, Preprocess) else None
    return PreparedPhotograph(image, Source(full_name, source, box), opened.size, orientation)


def stack_photographs(photographs: Sequence[PreparedPhotograph], model: nn.Module) -> Batch:
    """Return prepared photographs as one batch, on the model's device and in its precision, but at least float32.

    Raises:
        ImageError: they differ in shape.
    """
    shapes = {tuple(photograph.image.shape) for photograph in photographs}
    if len(shapes) > 1:
        raise ImageError(f"preprocess= made images of several shapes, {sorted(shapes)}; expected one for all")
    images = torch.stack([photograph.image for photograph in photographs])
    return Batch(move_to_model(images, model), tuple(photograph.source for photograph in photographs))
