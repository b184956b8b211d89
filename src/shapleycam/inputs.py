"""What a user hands to an explainer, made into a batch of images and a tensor of classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from PIL import Image

from shapleycam.errors import ImageError, TargetError
from shapleycam.images import Photo, Source, load
from shapleycam.models.labels import index_of
from shapleycam.models.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int
    from torch import Tensor, nn

    from shapleycam.models.network import Transform

Images: TypeAlias = "Photo | Sequence[Photo] | Tensor"
Target: TypeAlias = "int | str | Tensor | Sequence[int | str] | None"


@dataclass(frozen=True)
class Batch:
    """Preprocessed images (b, c, h, w) on the model's device, and where each came from."""

    images: Float[Tensor, "b c h w"]
    sources: tuple[Source, ...]


def batch_of(images: Images, preprocess: Transform | None, model: nn.Module) -> Batch:
    """A batch from a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w).

    Raises:
        ImageError: none of these, an unreadable photograph, or photographs without preprocessing.
    """
    weight = next(model.parameters(), torch.empty(0))
    if isinstance(images, torch.Tensor):
        _check_tensor(images)
        return Batch(images.to(weight.device), tuple(Source(f"image {index}") for index in range(len(images))))
    photos = [images] if isinstance(images, (str, Path, Image.Image)) else list(images)
    if not photos:
        raise ImageError("no images were given; expected at least one")
    if preprocess is None:
        raise ImageError(
            "photographs were given, and how this model wants them is not known; give preprocess= (RGB PIL image to "
            "tensor (c, h, w)), or an already preprocessed float tensor (b, c, h, w)"
        )
    pairs = [_prepared(photo, index, preprocess) for index, photo in enumerate(photos)]
    shapes = {tuple(image.shape) for image, _ in pairs}
    if len(shapes) > 1:
        raise ImageError(f"preprocess= made images of several shapes, {sorted(shapes)}; expected one for all")
    stacked = torch.stack([image for image, _ in pairs])
    return Batch(stacked.to(weight.device, weight.dtype), tuple(source for _, source in pairs))


def targets_of(
    target: Target, output: Float[Tensor, "b classes"], labels: Sequence[str] | None
) -> Int[Tensor, " b"]:
    """The class of each image: the predicted one for None; otherwise one for all, or one an image.

    Raises:
        TargetError: out of range, unknown, ambiguous, or not one an image.
    """
    images, classes = output.shape
    if target is None:
        return output.detach().argmax(1)
    if isinstance(target, torch.Tensor):
        if target.is_floating_point() or target.dtype == torch.bool:
            raise TargetError(f"the target tensor holds {target.dtype} numbers; expected integer classes")
        target = target.flatten().tolist()
    chosen = [target] * images if isinstance(target, (int, str)) else list(target)
    if len(chosen) != images:
        raise TargetError(f"{len(chosen)} targets for {images} images; expected one, or one an image")
    return torch.tensor([index_of(one, labels, classes) for one in chosen], device=output.device)


def _prepared(photo: Photo, index: int, preprocess: Transform) -> tuple[Tensor, Source]:
    if not isinstance(photo, (str, Path, Image.Image)):
        raise ImageError(f"image {index} is a {type(photo).__name__}; expected a path or a PIL image")
    opened = load(photo)
    image = preprocess(opened)
    if not isinstance(image, torch.Tensor) or image.dim() != 3:
        found = f"shape {tuple(image.shape)}" if isinstance(image, torch.Tensor) else type(image).__name__
        raise ImageError(f"preprocess= returned {found}; expected a tensor (c, h, w)")
    kept = photo if isinstance(photo, Image.Image) else Path(photo)
    name = f"image {index}" if isinstance(photo, Image.Image) else Path(photo).name
    box = preprocess.box(opened.size) if isinstance(preprocess, Preprocess) else None
    return image, Source(name, kept, box)


def _check_tensor(images: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point() or len(images) == 0:
        raise ImageError(
            f"a tensor of shape {tuple(images.shape)} and {images.dtype}; expected preprocessed images (b, c, h, w) "
            "in floating point, b at least 1"
        )
