"""What a user hands to an explainer, made into a batch of images and a tensor of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError, TargetError
from shapleycam.images import Photo, Source, load
from shapleycam.models.labels import index_of
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.trace.guest import device_of

Images: TypeAlias = "Photo | Sequence[Photo] | Tensor | Batch"
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
    if isinstance(images, Batch):
        return images
    if isinstance(images, torch.Tensor):
        _check_tensor(images)
        return Batch(images.to(device_of(model)), tuple(Source(f"image {index}") for index in range(len(images))))
    photos = [images] if isinstance(images, (str, Path, Image.Image)) else list(images)
    if not photos:
        raise ImageError("no images were given; expected at least one")
    if preprocess is None:
        raise ImageError(
            "photographs were given, and how this model wants them is not known; give preprocess= (RGB PIL image to "
            "tensor (c, h, w)), or an already preprocessed float tensor (b, c, h, w)"
        )
    return stacked([prepared(photo, f"image {index}", preprocess) for index, photo in enumerate(photos)], model)


def stacked(pairs: Sequence[tuple[Tensor, Source]], model: nn.Module) -> Batch:
    """Prepared photographs as one batch, where the model is and in its precision.

    Raises:
        ImageError: they differ in shape.
    """
    weight = next(model.parameters(), torch.empty(0))
    shapes = {tuple(image.shape) for image, _ in pairs}
    if len(shapes) > 1:
        raise ImageError(f"preprocess= made images of several shapes, {sorted(shapes)}; expected one for all")
    images = torch.stack([image for image, _ in pairs])
    return Batch(images.to(weight.device, weight.dtype), tuple(source for _, source in pairs))


def targets_of(target: Target, output: Float[Tensor, "b classes"], labels: Sequence[str] | None) -> Int[Tensor, " b"]:
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


def prepared(photo: Photo, name: str, preprocess: Transform) -> tuple[Tensor, Source]:
    """One photograph as the network's input (c, h, w), and where it came from; `name` is for one without a path.

    Raises:
        ImageError: it cannot be read, or `preprocess` does not make a tensor (c, h, w) of it.
    """
    if not isinstance(photo, (str, Path, Image.Image)):
        raise ImageError(f"{name} is a {type(photo).__name__}; expected a path or a PIL image")
    opened = load(photo)
    image = preprocess(opened)
    if not isinstance(image, torch.Tensor) or image.dim() != 3:
        found = f"shape {tuple(image.shape)}" if isinstance(image, torch.Tensor) else type(image).__name__
        raise ImageError(f"preprocess= returned {found}; expected a tensor (c, h, w)")
    box = preprocess.box(opened.size) if isinstance(preprocess, Preprocess) else None
    if isinstance(photo, Image.Image):
        return image, Source(name, photo, box)
    return image, Source(Path(photo).name, Path(photo), box)


def _check_tensor(images: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point() or len(images) == 0:
        raise ImageError(
            f"a tensor of shape {tuple(images.shape)} and {images.dtype}; expected preprocessed images (b, c, h, w) "
            "in floating point, b at least 1"
        )
