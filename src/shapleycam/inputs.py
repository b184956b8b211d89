"""What a user hands to an explainer, made into a batch of images and a tensor of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError, TargetError
from shapleycam.images import Photo, Source, load
from shapleycam.models.labels import index_of
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.trace.isolation import device_of
from shapleycam.utilities import Utility
from shapleycam.utilities.utility import logits_if_any

Images: TypeAlias = "Photo | Sequence[Photo] | Tensor | Batch"
Target: TypeAlias = "int | str | Tensor | Sequence[int | str] | None"


@dataclass(frozen=True)
class Batch:
    """Preprocessed images (b, c, h, w), volumes (b, c, d, h, w) or videos (b, t, c, h, w) on the model's device, and
    where each came from.
    """

    images: Float[Tensor, "b *image"]
    sources: tuple[Source, ...]


def batch_of(images: Images, preprocess: Transform | None, model: nn.Module) -> Batch:
    """A batch from a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w), 5-D for volumes
    and videos.

    Raises:
        ImageError: none of these, an unreadable photograph, or photographs without preprocessing.
    """
    if isinstance(images, Batch):
        return images
    if isinstance(images, torch.Tensor):
        _check_tensor(images)
        return Batch(_precise(images.to(device_of(model))), tuple(Source(f"image {i}") for i in range(len(images))))
    photos = _photos(images)
    if not photos:
        raise ImageError("no images were given; expected at least one")
    if preprocess is None:
        raise ImageError(
            "photographs were given, and how this model wants them is not known; give preprocess= (RGB PIL image to "
            "tensor (c, h, w)), or an already preprocessed float tensor (b, c, h, w)"
        )
    return stacked([prepared(photo, f"image {i}", preprocess) for i, photo in enumerate(photos)], model)


def stacked(pairs: Sequence[tuple[Tensor, Source]], model: nn.Module) -> Batch:
    """Prepared photographs as one batch, where the model is and in its precision, float32 at least.

    Raises:
        ImageError: they differ in shape.
    """
    weight = next(model.parameters(), torch.empty(0))
    shapes = {tuple(image.shape) for image, _ in pairs}
    if len(shapes) > 1:
        raise ImageError(f"preprocess= made images of several shapes, {sorted(shapes)}; expected one for all")
    images = torch.stack([image for image, _ in pairs])
    precision = torch.float64 if weight.dtype == torch.float64 else torch.float32
    return Batch(images.to(weight.device, precision), tuple(source for _, source in pairs))


def targets_of(
    target: Target,
    utility: Utility,
    scores: Float[Tensor, "b classes"] | None,
    labels: Sequence[str] | None,
    images: Float[Tensor, "b *image"],
) -> Int[Tensor, " b"]:
    """The class of each of `images` among the utility's: the predicted one for None; otherwise one for all, or one an
    image. `scores` are the utility's, None where it asks of no class.

    Raises:
        TargetError: out of range, unknown, ambiguous, not one an image, or missing where it cannot be predicted.
    """
    if scores is None or len(scores) != len(images):
        return _no_classes(target, utility, images)
    count, classes = scores.shape
    if target is None:
        if not utility.predicts and classes > 1:
            raise TargetError(f"utility {utility.name!r} is of one of {classes} numbers; say which with target=")
        return scores.detach().argmax(1)
    if isinstance(target, torch.Tensor):
        if target.is_floating_point() or target.dtype == torch.bool:
            raise TargetError(f"the target tensor holds {target.dtype} numbers; expected integer classes")
        target = target.flatten().tolist() if target.dim() else int(target)
    given = target if isinstance(target, Iterable) and not isinstance(target, str) else [target] * count
    chosen = [one if isinstance(one, str) else _number(one) for one in given]
    if len(chosen) != count:
        raise TargetError(f"targets given: {len(chosen)}, images: {count}; expected one target, or one an image")
    return torch.tensor([index_of(one, labels, classes) for one in chosen], device=scores.device)


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


def _no_classes(target: Target, utility: Utility, images: Tensor) -> Int[Tensor, " b"]:
    """Zeros, where a utility asks of no class; a function of the user's may be given numbers of its own."""
    count, is_function = len(images), utility.scores is logits_if_any
    if target is None:
        return torch.zeros(count, dtype=torch.long, device=images.device)
    numbers = [target] * count if isinstance(target, int) else target
    if is_function and isinstance(numbers, Sequence) and all(isinstance(number, int) for number in numbers):
        numbers = torch.tensor(numbers)
    if is_function and isinstance(numbers, torch.Tensor) and numbers.shape == (count,):
        return numbers.to(images.device, torch.long)
    raise TargetError(
        f"target {target!r} was given, and utility {utility.name!r} has no classes here; leave it out"
        + (f", or give a number, or a tensor ({count},) of numbers, for your function" if is_function else "")
    )


def _precise(images: Tensor) -> Tensor:
    """In float32 at least, as is the model while it is explained."""
    return images.float() if images.dtype in {torch.float16, torch.bfloat16} else images


def _number(target: Any) -> int:
    """A class number of any integer type, numpy's among them."""
    try:
        return index(target)
    except TypeError:
        raise TargetError(f"target {target!r} is a {type(target).__name__}; expected a class number or label") from None


def _photos(images: Any) -> list[Photo]:
    if isinstance(images, (str, Path, Image.Image)):
        return [images]
    if isinstance(images, Iterable) and not isinstance(images, np.ndarray):
        return list(images)
    raise ImageError(
        f"images were given as {type(images).__name__}; expected a path, a PIL image, a list of these, or a "
        "preprocessed float tensor (b, c, h, w)"
    )


def _check_tensor(images: Tensor) -> None:
    if images.dim() not in {4, 5} or not images.is_floating_point() or len(images) == 0:
        raise ImageError(
            f"a tensor of shape {tuple(images.shape)} and {images.dtype}; expected preprocessed images (b, c, h, w) "
            "(or volumes (b, c, d, h, w), videos (b, t, c, h, w)) in floating point, b at least 1"
        )
