"""One image as a detector takes it, and the conversion of the detector's boxes to pixels of the photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from shapleycam.errors import ImageError
from shapleycam.explaining.inputs import check_stored
from shapleycam.explaining.photographs import PreparedPhotograph
from shapleycam.images import Box, Source
from shapleycam.models.detectors.letterbox import Letterbox
from shapleycam.models.detectors.torchvision_preprocess import TorchvisionDetection
from shapleycam.models.network import Transform


@dataclass(frozen=True)
class Space:
    """The coordinates of boxes: pixels of the photograph if the input's position in it is known, else of the input.

    Attributes:
        size: (width, height) of the photograph or the input.
        is_of_photo: whether boxes are in pixels of the image that the user gave.
    """

    size: tuple[int, int]
    is_of_photo: bool
    _input: tuple[int, int]
    _place: Box

    @classmethod
    def of(cls, image: PreparedPhotograph) -> Space:
        """Return the coordinates of an image's boxes."""
        height, width = image.image.shape[-2:]
        place, size = image.source.box, image.size
        if place is not None and size is not None:
            return cls(size, True, (width, height), place)
        # A tensor without a photograph is what the user gave.
        return cls((width, height), size is None, (width, height), (0.0, 0.0, float(width), float(height)))

    def to_photo(self, box: Sequence[float]) -> Box:
        """Convert a box from pixels of the input to these coordinates."""
        left, top, right, bottom = self._place
        x_scale, y_scale = (right - left) / self._input[0], (bottom - top) / self._input[1]
        x_low, y_low, x_high, y_high = box
        return left + x_low * x_scale, top + y_low * y_scale, left + x_high * x_scale, top + y_high * y_scale


def prepare_tensor(image: Tensor, transform: Transform | None) -> PreparedPhotograph:
    """Prepare a tensor for the detector: an image in [0, 1] for torchvision, the input itself for other detectors.

    Raises:
        ImageError: it is not a single floating-point image (c, h, w) or (1, c, h, w), or not in [0, 1].
    """
    check_stored(image)
    single = image[0] if image.dim() == 4 and len(image) == 1 else image
    if single.dim() != 3 or not single.is_floating_point() or not single.numel():
        raise ImageError(
            f"a tensor of shape {tuple(image.shape)} and {image.dtype}; expected one image (c, h, w) or (1, c, h, w) "
            "in floating point: of several explain one after the other"
        )
    single = single.detach()
    if isinstance(transform, (TorchvisionDetection, Letterbox)):
        _check_pixels(single)
    if not isinstance(transform, TorchvisionDetection):
        return PreparedPhotograph(single, Source("image"))
    pixels = single.float().cpu()
    height, width = single.shape[-2:]
    size = (width, height)
    prepared = transform.of_tensor(pixels)
    return PreparedPhotograph(prepared, Source("image", to_pil_image(pixels), transform.box(size)), size)


def _check_pixels(image: Tensor) -> None:
    """Refuse numbers outside [0, 1], which detectors of torchvision and ultralytics take for pixels."""
    low, high = (float(edge) for edge in image.aminmax())
    if not (low >= 0 and high <= 1):
        raise ImageError(
            f"the image's numbers are from {low:.3g} to {high:.3g}; expected pixels in [0, 1], as detectors of "
            "torchvision (which normalise them themselves) and ultralytics take them"
        )


def image_size_inside(image: PreparedPhotograph, transform: Transform | None) -> tuple[int, int]:
    """Return the (height, width) of the input without its padding on the right and at the bottom."""
    if isinstance(transform, TorchvisionDetection) and image.size is not None:
        return transform.inside(image.size)
    height, width = image.image.shape[-2:]
    return height, width
