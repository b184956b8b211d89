"""How torchvision's detectors resize, normalise and pad a photograph, and where the photograph lies in the result."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from shapleycam.errors import ImageError, ModelError
from shapleycam.images import Box
from shapleycam.models.preprocess import Preprocess, labels_in_box

_ROUNDING = 1e-4
"""How far normalised pixels may be apart by rounding."""


@dataclass(frozen=True)
class TorchvisionDetection(Preprocess):
    """What a detector of torchvision does with an image inside, done before it, with the place of the image known.

    The image is normalised, resized so that its shorter side is `resize` and its longer one at most `longest` (or to
    `fixed`), and padded at the right and below to multiples of `multiple`. So the grid of a layer covers the input of
    the explained model, and the padding is not mistaken for a part of the photograph.

    Attributes:
        longest: the longer side in pixels at most.
        multiple: of what the padded sides are multiples.
        fixed: (height, width) to which the image is resized whatever its form; None keeps its proportions.
    """

    longest: int = 1333
    multiple: int = 32
    fixed: tuple[int, int] | None = None
    transform: GeneralizedRCNNTransform | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, transform: GeneralizedRCNNTransform) -> TorchvisionDetection:
        """Return the preprocessing that a detector's own `transform` describes.

        Raises:
            ModelError: it is of another class than torchvision's, so that it may resize and pad in another way, or
                makes another input of a picture than its settings say.
        """
        if type(transform) is not GeneralizedRCNNTransform:
            raise ModelError(
                f"the detector's transform is a {type(transform).__name__}; expected torchvision's own "
                "GeneralizedRCNNTransform, since another one may resize and pad in another way: give preprocess=, a "
                "function from an RGB PIL image to the tensor (c, h, w) that this transform makes of it"
            )
        shorter, fixed = int(transform.min_size[-1]), transform.fixed_size
        own = GeneralizedRCNNTransform(
            shorter,
            int(transform.max_size),
            list(transform.image_mean),
            list(transform.image_std),
            int(transform.size_divisible),
            fixed,
        ).eval()
        _check_same(transform, own)
        return cls(
            resize=shorter,
            crop=(shorter, shorter),
            mean=tuple(map(float, own.image_mean)),
            std=tuple(map(float, own.image_std)),
            interpolation=InterpolationMode.BILINEAR,
            longest=int(own.max_size),
            multiple=int(own.size_divisible),
            fixed=None if fixed is None else (int(fixed[1]), int(fixed[0])),
            transform=own,
        )

    @property
    def sees_all(self) -> bool:
        """Return that the whole photograph is in the input, with padding beside it."""
        return True

    def __call__(self, photo: Image.Image) -> Float[Tensor, "c H W"]:
        """Return the padded input for an RGB photograph."""
        return self.of_tensor(F.to_tensor(photo))

    def of_tensor(self, image: Float[Tensor, "c h w"]) -> Float[Tensor, "c H W"]:
        """Return the padded input for an image in [0, 1], as torchvision's detectors take it."""
        if self.transform is None:
            raise TypeError("made without a transform; use TorchvisionDetection.of")
        channels, height, width = image.shape
        if channels not in {1, len(self.mean)}:
            raise ImageError(
                f"an image of {channels} channels; expected {len(self.mean)}, in a tensor (c, h, w) with the channels "
                "first"
            )
        if min(self.inside((width, height))) < 1:
            raise ImageError(
                f"an image of {width} x {height} pixels has no pixel left on its shorter side when the detector "
                f"shrinks the longer one to {self.longest}; expected a less narrow one: crop it"
            )
        images, _ = self.transform([image])
        padded: Tensor = images.tensors[0]
        return padded

    def box(self, size: tuple[int, int]) -> Box:
        """Return where the padded input lies in a photograph of (width, height) pixels: it may reach beyond it."""
        width, height = size
        inside_height, inside_width = self.inside(size)
        padded_height, padded_width = self._padded(size)
        return 0.0, 0.0, padded_width * width / inside_width, padded_height * height / inside_height

    def crop_labels(self, labels: Int[Tensor, "H W"]) -> Int[Tensor, "h w"]:
        """Return numbers of a photograph's pixels as the network's input has them; 0 beside the photograph."""
        height, width = labels.shape
        return labels_in_box(labels, self.box((width, height)), self._padded((width, height)))

    def _padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) of the padded input for a photograph of (width, height) pixels."""
        height, width = (math.ceil(side / self.multiple) * self.multiple for side in self.inside(size))
        return height, width

    def inside(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) that a photograph of (width, height) pixels takes of the padded input."""
        if self.fixed is not None:
            return self.fixed
        width, height = size
        shortest = cast("int", self.resize)  # `of` sets it
        scale = min(shortest / min(size), self.longest / max(size))
        return math.floor(height * scale), math.floor(width * scale)


def _check_same(transform: GeneralizedRCNNTransform, own: GeneralizedRCNNTransform) -> None:
    """Refuse a transform that makes another input of a picture than one with the same settings, as with hooks.

    It is tried on a picture rather than read, because a method replaced on the object, a hook and a setting that this
    code does not know all show there. A copy is run, because hooks may write.
    """
    image = torch.linspace(0, 1, 12 * 16, device="cpu", dtype=torch.float32).view(1, 12, 16)
    picture = image.expand(len(own.image_mean), -1, -1)
    theirs, ours = (each([picture])[0].tensors for each in (deepcopy(transform).cpu().eval(), own))
    if theirs.shape != ours.shape or not torch.allclose(theirs, ours, rtol=0, atol=_ROUNDING):
        raise ModelError(
            f"the detector's transform makes an input of shape {tuple(theirs.shape)} and values from "
            f"{float(theirs.min()):.3g} to {float(theirs.max()):.3g} of a test picture, and {tuple(ours.shape)}, "
            f"{float(ours.min()):.3g} to {float(ours.max()):.3g} were expected by its settings: it has a hook, or a "
            "method of yours; give preprocess=, a function from an RGB PIL image to the tensor (c, h, w) that it makes"
        )


class AlreadyPrepared(torch.nn.Module):
    """Stands in a private copy for a detector's own transform, since the image is prepared before."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: list[Tensor], targets: None = None) -> tuple[object, None]:
        """Return the images as they are, with the size of what is no padding."""
        from torchvision.models.detection.image_list import ImageList

        return ImageList(torch.stack(list(images)), [self.size] * len(images)), targets

    def postprocess(self, result: list[dict[str, Tensor]], *_: object) -> list[dict[str, Tensor]]:
        """Return the boxes in pixels of the input."""
        return result
