"""The whole photograph in a square, with grey around it: the preprocessing of YOLO."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from shapleycam.images import Box
from shapleycam.models.preprocess import Preprocess, labels_in_box


@dataclass(frozen=True)
class Letterbox(Preprocess):
    """Resize the whole photograph into (height, width) `crop`, keep its proportions, and fill the rest with grey.

    Examples:
        >>> from PIL import Image
        >>> from shapleycam.models.detectors.letterbox import Letterbox
        >>> letterbox = Letterbox.square(64)
        >>> letterbox(Image.new("RGB", (200, 100))).shape, letterbox.box((200, 100))
        (torch.Size([3, 64, 64]), (0.0, -50.0, 200.0, 150.0))
    """

    grey: float = 114 / 255

    @classmethod
    def square(cls, side: int) -> Letterbox:
        """Return ultralytics' preprocessing for a square input: pixels in [0, 1], not normalised further."""
        return cls(side, (side, side), (0.0,) * 3, (1.0,) * 3, InterpolationMode.BILINEAR)

    @property
    def sees_all(self) -> bool:
        """Return that the whole photograph is in the input, with padding beside it."""
        return True

    def __call__(self, photo: Image.Image) -> Float[Tensor, "c h w"]:
        """Return the network's input for an RGB photograph."""
        left, top, width, height = self._place(photo.size)
        # As ultralytics: neighbouring pixels are interpolated, and not averaged over the area of a new one.
        resized = F.resize(F.pil_to_tensor(photo), [height, width], self.interpolation, antialias=False)
        canvas = torch.full((3, *self.crop), self.grey, device="cpu")
        canvas[:, top : top + height, left : left + width] = resized.float() / 255
        normalised: Tensor = F.normalize(canvas, list(self.mean), list(self.std))
        return normalised

    def box(self, size: tuple[int, int]) -> Box:
        """Return where the square lies in a photograph of (width, height) pixels: it reaches beyond it."""
        left, top, width, height = self._place(size)
        x_scale, y_scale = size[0] / width, size[1] / height
        crop_height, crop_width = self.crop
        return -left * x_scale, -top * y_scale, (crop_width - left) * x_scale, (crop_height - top) * y_scale

    def crop_labels(self, labels: Int[Tensor, "H W"]) -> Int[Tensor, "h w"]:
        """Return numbers of a photograph's pixels as the network's input has them; 0 beside the photograph."""
        height, width = labels.shape
        return labels_in_box(labels, self.box((width, height)), self.crop)

    def _place(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return left, top, width and height of the resized photograph in the square."""
        height, width = self.crop
        scale = min(width / size[0], height / size[1])
        new_width, new_height = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        return round((width - new_width) / 2 - 0.1), round((height - new_height) / 2 - 0.1), new_width, new_height
