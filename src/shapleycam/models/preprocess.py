"""Preprocessing: a photograph becomes the network's input, and the input becomes a picture again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from shapleycam.images import Box

_MAX_LENGTH_IN_CROPS = 64
"""A photograph that would be longer than this many crops after resizing is cut to its middle before."""


@dataclass(frozen=True)
class Preprocess:
    """Resize, centre crop, normalise: the evaluation transform of nearly every image classifier.

    Attributes:
        resize: the length of the shorter side in pixels, or an exact (height, width).
        crop: (height, width) in pixels.
        mean: one number per channel, for pixels in [0, 1]; a single number makes the input one grey channel.
        std: like `mean`.
        interpolation: the interpolation for resizing.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam import Preprocess
        >>> preprocess = Preprocess(resize=256, crop=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> image = preprocess(Image.new("RGB", (512, 512), "white"))
        >>> image.shape, float(image.max()), preprocess.box((512, 512))
        (torch.Size([3, 224, 224]), 1.0, (32.0, 32.0, 480.0, 480.0))
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: InterpolationMode = InterpolationMode.BICUBIC

    @property
    def sees_all(self) -> bool:
        """Return whether the network's input shows every photograph completely: never, because of the crop."""
        return False

    def __call__(self, photo: Image.Image) -> Float[Tensor, "c h w"]:
        """Return the network's input for an RGB photograph."""
        photo = photo.convert("L") if len(self.mean) == 1 else photo
        normalised: Tensor = F.normalize(F.to_tensor(self.cut(photo)), list(self.mean), list(self.std))
        return normalised

    def cut(self, photo: Image.Image) -> Image.Image:
        """Return the part of a photograph that the network sees, at the size of its input."""
        resized = F.resize(self._cut_to_middle(photo), self._resize_argument(), self.interpolation, antialias=True)
        cropped: Image.Image = F.center_crop(resized, list(self.crop))
        return cropped

    def box(self, size: tuple[int, int]) -> Box:
        """Return the crop's position in a photograph of (width, height) pixels: (left, top, right, bottom)."""
        width, height = size
        resized_width, resized_height = self._resized(width, height)
        crop_height, crop_width = self.crop
        left = _margin(resized_width, crop_width) * width / resized_width
        top = _margin(resized_height, crop_height) * height / resized_height
        right = left + crop_width * width / resized_width
        bottom = top + crop_height * height / resized_height
        return left, top, right, bottom

    def crop_labels(self, labels: Int[Tensor, "H W"]) -> Int[Tensor, "h w"]:
        """Return integer labels of a photograph's pixels, resized and cropped like the photograph; 0 outside of it.

        Resizing takes the nearest pixel, because labels cannot be interpolated.
        """
        picture = Image.fromarray(labels.cpu().numpy().astype("int32"))
        resized = F.resize(self._cut_to_middle(picture), self._resize_argument(), InterpolationMode.NEAREST)
        return torch.from_numpy(np.array(F.center_crop(resized, list(self.crop)))).long()

    def picture(self, image: Float[Tensor, "c h w"]) -> UInt8[Tensor, "h w 3"]:
        """Return a network's input as 8-bit pixels, without the normalisation."""
        mean, std = (
            torch.tensor(v, dtype=torch.float32, device=image.device).view(-1, 1, 1) for v in (self.mean, self.std)
        )
        return to_pixels((image.detach().float() * std + mean).expand(3, -1, -1))

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        if width <= height:
            return self.resize, int(self.resize * height / width)
        return int(self.resize * width / height), self.resize

    def _resize_argument(self) -> list[int]:
        return [self.resize] if isinstance(self.resize, int) else list(self.resize)

    def _cut_to_middle(self, photo: Image.Image) -> Image.Image:
        """Return the middle of a very long photograph, because resizing 1 x 60,000 pixels would give 4 billion."""
        if isinstance(self.resize, tuple):
            return photo
        short, long = sorted(photo.size)
        keep = max(4, _MAX_LENGTH_IN_CROPS * max(self.crop) * short // self.resize)
        if long <= keep:
            return photo
        keep += (long - keep) % 2  # an even difference keeps the middle where it is
        if photo.width == long:
            left = (long - keep) // 2
            return photo.crop((left, 0, left + keep, photo.height))
        top = (long - keep) // 2
        return photo.crop((0, top, photo.width, top + keep))


def labels_in_box(labels: Int[Tensor, "H W"], box: Box, shape: tuple[int, int]) -> Int[Tensor, "h w"]:
    """Return integer labels of a photograph's pixels for an image of (height, width) `shape` that shows the box.

    Each pixel has the label of the photograph's pixel that contains its middle; outside of the photograph it is 0.

    Examples:
        >>> import torch
        >>> from shapleycam.models.preprocess import labels_in_box
        >>> labels_in_box(torch.tensor([[1, 2]]), (0.0, -1.0, 2.0, 1.0), (4, 4)).tolist()
        [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 2, 2], [1, 1, 2, 2]]
    """
    left, top, right, bottom = box
    places, inside = [], []
    for first, last, samples, pixels in (
        (top, bottom, shape[0], labels.shape[0]),
        (left, right, shape[1], labels.shape[1]),
    ):
        middles = torch.arange(samples, dtype=torch.float64, device="cpu") + 0.5
        place = (first + middles * (last - first) / samples).floor().long()
        inside.append((place >= 0) & (place < pixels))
        places.append(place.clamp(0, pixels - 1))
    rows, columns = places
    shown = labels.cpu()[rows[:, None], columns].long()
    return shown.masked_fill(~(inside[0][:, None] & inside[1]), 0)


def _margin(whole: int, part: int) -> int:
    """Return the number of pixels before the crop in torchvision's centre crop; negative if it pads."""
    return round((whole - part) / 2) if whole >= part else -((part - whole) // 2)


def to_pixels(image: Float[Tensor, "3 h w"]) -> UInt8[Tensor, "h w 3"]:
    """Return an image in [0, 1] as 8-bit pixels; numbers outside of [0, 1] are clamped."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
