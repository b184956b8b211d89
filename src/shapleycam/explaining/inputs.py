"""Convert a user's images and targets to a batch of images and a tensor of classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError, OptionError, TargetError
from shapleycam.explaining.batch import Batch, move_to_model
from shapleycam.explaining.photographs import prepare_photograph, stack_photographs
from shapleycam.images import Photo, Source
from shapleycam.models.labels import class_index
from shapleycam.models.network import Transform
from shapleycam.precision import HALF
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.nested import map_tensors
from shapleycam.utilities import Utility
from shapleycam.utilities.utility import logits_or_none

Images: TypeAlias = "Photo | Sequence[Photo] | Tensor | Sequence[Tensor] | Batch"
Inputs: TypeAlias = "Mapping[str, Any] | tuple[Any, ...] | None"
"""Further inputs of a model: keyword arguments of its forward, or positional arguments after the images."""
Target: TypeAlias = "int | str | Tensor | Sequence[int | str] | None"


def batch_of(
    images: Images,
    preprocess: Transform | None,
    model: nn.Module,
    inputs: Inputs = None,
) -> Batch:
    """Return a batch from photographs or tensors.

    Args:
        images: a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w), 5-D for volumes and
            videos, or a list of tensors (c, h, w) or (1, c, h, w).
        preprocess: a function from an RGB PIL image to a tensor (c, h, w); photographs need it.
        model: the model that will run on the images.
        inputs: further inputs of the model.

    Raises:
        ImageError: images of another type, an unreadable photograph, or photographs without preprocessing.
    """
    if isinstance(images, Batch):
        return images if inputs is None else replace(images, extra=extra_inputs(inputs, images.images))
    batch = _batch_of(images, preprocess, model)
    return replace(batch, extra=extra_inputs(inputs, batch.images))


def _in_precision_of(images: Tensor, tensor: Tensor) -> Tensor:
    """Return a half-precision tensor in the images' precision; return any other tensor unchanged."""
    return tensor.to(images.dtype) if tensor.dtype in HALF else tensor


def extra_inputs(inputs: Inputs, images: Float[Tensor, "b *image"]) -> ExtraInputs:
    """Return further inputs of a model on the images' device.

    They are keyword arguments of its forward, or positional arguments after the images.

    Raises:
        OptionError: `inputs` is neither a mapping from names nor a tuple.
    """
    if inputs is None:
        return NO_EXTRA
    moved = map_tensors(lambda tensor: _in_precision_of(images, tensor.detach().to(images.device)), inputs)
    if isinstance(moved, Mapping) and all(isinstance(name, str) for name in moved):
        return ExtraInputs((), dict(moved), len(images))
    if isinstance(moved, (tuple, list)):
        return ExtraInputs(tuple(moved), {}, len(images))
    raise OptionError(
        f"inputs= is a {type(inputs).__name__}; expected a mapping of forward's keyword names, or a tuple of the "
        "arguments after the images"
    )


def _batch_of(images: Images, preprocess: Transform | None, model: nn.Module) -> Batch:
    if isinstance(images, torch.Tensor):
        return _of_tensor(images, model)
    photos = _photos(images)
    if not photos:
        raise ImageError("no images were given; expected at least one")
    tensors = [photo for photo in photos if isinstance(photo, torch.Tensor)]
    if len(tensors) == len(photos):
        return _of_tensor(_one_tensor(tensors, model), model)
    if preprocess is None:
        raise ImageError(
            "photographs were given, and how this model wants them is not known; give preprocess= (RGB PIL image to "
            "tensor (c, h, w)), or an already preprocessed float tensor (b, c, h, w)"
        )
    prepared = [prepare_photograph(photo, preprocess, _name_of(photo, i)) for i, photo in enumerate(photos)]
    return stack_photographs(prepared, model)


def _name_of(photo: Any, index: int) -> str | None:
    """Return a name for a photograph without a path; None for a path, since the file's name is used."""
    return None if isinstance(photo, (str, Path)) else f"image {index}"


def _of_tensor(images: Tensor, model: nn.Module) -> Batch:
    _check_tensor(images)
    detached = images.detach()
    detached = detached.clone() if detached.is_inference() else detached
    return Batch(move_to_model(detached, model), tuple(Source(f"image {i}") for i in range(len(images))))


def _one_tensor(parts: Sequence[Tensor], model: nn.Module) -> Tensor:
    """Return tensors (c, h, w) or (1, c, h, w), or volumes (c, d, h, w) or (1, c, d, h, w), as one batch."""
    dims = 4 if any(isinstance(module, nn.Conv3d) for module in model.modules()) else 3
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        raise ImageError(f"the list holds tensors of several shapes, {sorted(shapes)}; expected one for all")
    first = parts[0]
    if first.dim() == dims + 1 and len(first) == 1:
        return torch.cat(list(parts))
    if first.dim() == dims:
        return torch.stack(list(parts))
    shape = "(c, h, w) or (1, c, h, w)" if dims == 3 else "(c, d, h, w) or (1, c, d, h, w)"
    raise ImageError(
        f"the list holds tensors of shape {tuple(first.shape)}; expected {shape}, or one tensor of all images"
    )


def resolve_targets(
    target: Target,
    utility: Utility,
    scores: Float[Tensor, "b classes"] | None,
    labels: Sequence[str] | None,
    images: Float[Tensor, "b *image"],
) -> Int[Tensor, " b"]:
    """Return the explained class (b,) of each image.

    `target` is None for the predicted class, one class for all images, or one for each image. `scores` are the scores
    of the utility's classes; None if the utility has no classes.

    Raises:
        TargetError: a class is out of range, unknown or ambiguous; the number of targets is not the number of images;
            or there is no target and none can be predicted.
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
    targets = target if isinstance(target, Iterable) and not isinstance(target, str) else [target] * count
    names_or_numbers = list(targets)
    if len(names_or_numbers) != count:
        targets_given = len(names_or_numbers)
        raise TargetError(f"targets given: {targets_given}, images: {count}; expected one target, or one an image")
    numbers = [class_index(each, labels, classes) for each in names_or_numbers]
    return torch.tensor(numbers, device=scores.device)


def _no_classes(target: Target, utility: Utility, images: Tensor) -> Int[Tensor, " b"]:
    """Return zeros (b,) for a utility without classes; only a user's function may be given numbers as targets."""
    count, is_function = len(images), utility.scores is logits_or_none
    if target is None:
        return torch.zeros(count, dtype=torch.long, device=images.device)
    numbers = [target] * count if isinstance(target, int) else target
    if is_function and isinstance(numbers, Sequence) and all(isinstance(number, int) for number in numbers):
        numbers = torch.tensor(numbers, device="cpu")
    if is_function and isinstance(numbers, torch.Tensor) and numbers.shape == (count,):
        return numbers.to(images.device, torch.long)
    raise TargetError(
        f"target {target!r} was given, and utility {utility.name!r} has no classes here; leave it out"
        + (f", or give a number, or a tensor ({count},) of numbers, for your function" if is_function else "")
    )


def _photos(images: Any) -> list[Any]:
    if isinstance(images, (str, Path, Image.Image)):
        return [images]
    if isinstance(images, Iterable) and not isinstance(images, (np.ndarray, Mapping)):
        return list(images)
    raise ImageError(
        f"images were given as {type(images).__name__}; expected a path, a PIL image, a list of these, or a "
        "preprocessed float tensor (b, c, h, w)"
    )


def check_stored(images: Tensor) -> None:
    """Refuse a tensor whose numbers are not all stored: a sparse tensor, or one on the device meta.

    Raises:
        ImageError: the tensor is sparse or on the device meta.
    """
    if images.layout != torch.strided or images.is_meta:
        kind = "no numbers (device meta)" if images.is_meta else f"layout {images.layout}"
        raise ImageError(f"a tensor with {kind}; expected preprocessed images (b, c, h, w), all numbers of them stored")


def _check_tensor(images: Tensor) -> None:
    check_stored(images)
    if images.dim() not in {4, 5} or not images.is_floating_point() or len(images) == 0:
        raise ImageError(
            f"a tensor of shape {tuple(images.shape)} and {images.dtype}; expected preprocessed images (b, c, h, w) "
            "(or volumes (b, c, d, h, w), videos (b, t, c, h, w)) in floating point, b at least 1"
            + (
                ""
                if images.is_floating_point() or images.is_complex()
                else ": whole numbers are pixels, which the model takes scaled"
            )
        )
