"""Image processors of transformers that resize the whole photograph, so that the place of a box in it is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from shapleycam.errors import ImageError
from shapleycam.images import Box
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess, labels_in_box
from shapleycam.models.transforms import as_transform
from shapleycam.wording import type_and_first_line

_ROUNDING = 2 / 255
"""How far a pixel in [0, 1] may be from its own by rounding to 8 bits, before and after it is resized."""
_TYPICAL = (400, 300)


@dataclass(frozen=True)
class WholePhotograph(Preprocess):
    """An image processor of transformers that resizes the whole photograph, without a crop and without padding.

    `crop` is the (height, width) that a photograph of 400 x 300 pixels gets: others may get other sizes.
    """

    processor: Any = field(default=None, compare=False, repr=False)

    @property
    def sees_all(self) -> bool:
        """Return that the whole photograph is in the input."""
        return True

    def __call__(self, photo: Image.Image) -> Float[Tensor, "c h w"]:
        """Return the network's input for an RGB photograph.

        Raises:
            ImageError: the processor fails.
        """
        try:
            pixels: Tensor = self.processor(photo, return_tensors="pt")["pixel_values"][0]
        except (ValueError, RuntimeError, ZeroDivisionError) as error:  # a side that becomes 0 pixels long
            raise ImageError(
                f"the image processor cannot take a photograph of {photo.width} x {photo.height} pixels "
                f"({type_and_first_line(error)}); expected a less narrow one: crop it"
            ) from error
        return pixels

    def box(self, size: tuple[int, int]) -> Box:
        """Return the whole of a photograph of (width, height) pixels, once a ramp of that size was seen to stay whole.

        Raises:
            ImageError: of this size the processor crops, pads or turns photographs.
        """
        if not self.keeps_whole(size):
            raise ImageError(
                f"the image processor crops or pads a photograph of {size[0]} x {size[1]} pixels; expected one that it "
                "resizes as a whole, so that the place of a box is known: crop it, or resize it"
            )
        return 0.0, 0.0, float(size[0]), float(size[1])

    def crop_labels(self, labels: Int[Tensor, "H W"]) -> Int[Tensor, "h w"]:
        """Return numbers of a photograph's pixels as the network's input has them: each that of the nearest pixel.

        Raises:
            ImageError: of this size the processor crops, pads or turns photographs.
        """
        height, width = labels.shape
        rows, columns = self(Image.new("RGB", (width, height))).shape[-2:]
        return labels_in_box(labels, self.box((width, height)), (rows, columns))

    def keeps_whole(self, size: tuple[int, int]) -> bool:
        """Return whether a photograph of (width, height) pixels is resized from edge to edge.

        It is tried: a picture that grows brighter from edge to edge does so from edge to edge of the input.
        """
        across, down = _ramp(size[0], size[0]), _ramp(size[1], size[1])[:, None]
        channels = [across.expand(size[1], -1), down.expand(-1, size[0]), torch.zeros_like(across).expand(size[1], -1)]
        ramps = Image.merge("RGB", [Image.fromarray((each * 255).round().byte().numpy()) for each in channels])
        image = self(ramps)
        if image.dim() != 3 or len(image) != 3:
            return False
        mean, std = (
            torch.tensor(each, dtype=torch.float32, device="cpu").view(3, 1, 1) for each in (self.mean, self.std)
        )
        pixels, (height, width) = image.float().cpu() * std + mean, image.shape[1:]
        errors = (
            (pixels[0] - _ramp(size[0], width)).abs().max() - 1 / width,
            (pixels[1] - _ramp(size[1], height)[:, None]).abs().max() - 1 / height,
            pixels[2].abs().max(),
        )
        return all(float(error) <= _ROUNDING for error in errors)


def as_detection_transform(processor: Any) -> Transform:
    """Return the preprocessing of a detector: as `as_transform`, and a processor that resizes the whole photograph.

    Raises:
        OptionError: it is no function.
    """
    transform = as_transform(processor)
    if isinstance(transform, Preprocess) or not _only_resizes(processor):
        return transform
    mean, std = (0.0,) * 3, (1.0,) * 3
    if getattr(processor, "do_normalize", False):
        mean, std = tuple(processor.image_mean), tuple(processor.image_std)
    whole = WholePhotograph(0, (0, 0), mean, std, processor=processor)
    try:
        height, width = whole(Image.new("RGB", _TYPICAL)).shape[-2:]
        is_whole = whole.keeps_whole(_TYPICAL)
    except ImageError:
        return transform
    shape = (int(height), int(width))
    return WholePhotograph(shape, shape, mean, std, processor=processor) if is_whole else transform


def _only_resizes(processor: Any) -> bool:
    """Return whether a processor of transformers says that it resizes, without a crop, to pixels in [0, 1]."""
    is_scaled = getattr(processor, "do_rescale", False) and isclose(getattr(processor, "rescale_factor", 0), 1 / 255)
    resizes = getattr(processor, "do_resize", False) and not getattr(processor, "do_center_crop", False)
    return bool(is_scaled and resizes)


def _ramp(pixels: int, samples: int) -> Float[Tensor, " samples"]:
    """Return so many samples of a side whose pixels go from 0 to 1, each at the middle of its share of the side."""
    middles = (torch.arange(samples, dtype=torch.float32, device="cpu") + 0.5) * pixels / samples - 0.5
    return (middles / max(1, pixels - 1)).clamp(0, 1)
