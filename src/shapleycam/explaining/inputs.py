"""What a user hands to an explainer, made into a batch of images and a tensor of classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError, OptionError, TargetError
from shapleycam.images import Photo, Source, open_photograph
from shapleycam.models.labels import class_index
from shapleycam.models.network import Transform
from shapleycam.models.preprocess import Preprocess
from shapleycam.precision import HALF
from shapleycam.tracing.extra import NO_EXTRA, ExtraInputs
from shapleycam.tracing.isolation import device_of
from shapleycam.tracing.nested import map_tensors
from shapleycam.utilities import Utility
from shapleycam.utilities.utility import logits_or_none

Images: TypeAlias = "Photo | Sequence[Photo] | Tensor | Sequence[Tensor] | Batch"
Inputs: TypeAlias = "Mapping[str, Any] | tuple[Any, ...] | None"
"""Further inputs of a model: keyword arguments of its forward, or positional ones after the images."""
Target: TypeAlias = "int | str | Tensor | Sequence[int | str] | None"


@dataclass(frozen=True)
class Batch:
    """Preprocessed images (b, c, h, w), volumes (b, c, d, h, w) or videos (b, t, c, h, w) on the model's device, and
    where each came from; `extra` are further inputs of the model.
    """

    images: Float[Tensor, "b *image"]
    sources: tuple[Source, ...]
    extra: ExtraInputs = NO_EXTRA

    @property
    def first(self) -> Batch:
        """The first image alone."""
        alone = torch.zeros(1, dtype=torch.long)
        return Batch(self.images[:1], self.sources[:1], self.extra.rows(alone))


def batch_of(
    images: Images,
    preprocess: Transform | None,
    model: nn.Module,
    inputs: Inputs = None,
) -> Batch:
    """A batch from a path, a PIL image, a list of these, or a preprocessed float tensor (b, c, h, w), 5-D for volumes
    and videos, or a list of tensors (c, h, w) or (1, c, h, w). `inputs` are the model's further ones.

    Raises:
        ImageError: none of these, an unreadable photograph, or photographs without preprocessing.
    """
    if isinstance(images, Batch):
        return images if inputs is None else replace(images, extra=extra_inputs(inputs, images.images))
    batch = _batch_of(images, preprocess, model)
    return replace(batch, extra=extra_inputs(inputs, batch.images))


def _in_precision_of(images: Tensor, tensor: Tensor) -> Tensor:
    """A tensor of numbers in half precision widened as the images are; any other as it is."""
    return tensor.to(images.dtype) if tensor.dtype in HALF else tensor


def extra_inputs(inputs: Inputs, images: Float[Tensor, "b *image"]) -> ExtraInputs:
    """Further inputs of a model, on the images' device: keyword arguments of its forward, or positional ones after the
    images.

    Raises:
        OptionError: neither a mapping of names nor a tuple.
    """
    if inputs is None:
        return NO_EXTRA
    own = map_tensors(lambda tensor: _in_precision_of(images, tensor.detach().to(images.device)), inputs)
    if isinstance(own, Mapping) and all(isinstance(name, str) for name in own):
        return ExtraInputs((), dict(own), len(images))
    if isinstance(own, (tuple, list)):
        return ExtraInputs(tuple(own), {}, len(images))
    raise OptionError(
        f"inputs= is a {type(inputs).__name__}; expected a mapping of forward's keyword names, or a tuple of the "
        "arguments after the images"
    )


def stacked(pairs: Sequence[tuple[Tensor, Source]], model: nn.Module) -> Batch:
    """Prepared photographs as one batch, where the model is and in its precision, float32 at least.

    Raises:
        ImageError: they differ in shape.
    """
    shapes = {tuple(image.shape) for image, _ in pairs}
    if len(shapes) > 1:
        raise ImageError(f"preprocess= made images of several shapes, {sorted(shapes)}; expected one for all")
    images = torch.stack([image for image, _ in pairs])
    return Batch(_as_the_model_is(images, model), tuple(source for _, source in pairs))


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
    return stacked([prepared(photo, f"image {i}", preprocess) for i, photo in enumerate(photos)], model)


def _of_tensor(images: Tensor, model: nn.Module) -> Batch:
    _check_tensor(images)
    own = images.detach()
    own = own.clone() if own.is_inference() else own
    return Batch(_as_the_model_is(own, model), tuple(Source(f"image {i}") for i in range(len(images))))


def _one_tensor(parts: Sequence[Tensor], model: nn.Module) -> Tensor:
    """Tensors (c, h, w) or (1, c, h, w), or volumes (c, d, h, w) or (1, c, d, h, w), as one batch."""
    dims = 4 if any(isinstance(module, nn.Conv3d) for module in model.modules()) else 3
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        raise ImageError(f"the list holds tensors of several shapes, {sorted(shapes)}; expected one for all")
    one = parts[0]
    if one.dim() == dims + 1 and len(one) == 1:
        return torch.cat(list(parts))
    if one.dim() == dims:
        return torch.stack(list(parts))
    shape = "(c, h, w) or (1, c, h, w)" if dims == 3 else "(c, d, h, w) or (1, c, d, h, w)"
    raise ImageError(
        f"the list holds tensors of shape {tuple(one.shape)}; expected {shape}, or one tensor of all images"
    )


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
    return torch.tensor([class_index(one, labels, classes) for one in chosen], device=scores.device)


def prepared(photo: Photo, name: str, preprocess: Transform) -> tuple[Tensor, Source]:
    """One photograph as the network's input (c, h, w), and where it came from; `name` is for one without a path.

    Raises:
        ImageError: it cannot be read, or `preprocess` does not make a tensor (c, h, w) of it.
    """
    if not isinstance(photo, (str, Path, Image.Image)):
        raise ImageError(f"{name} is a {type(photo).__name__}; expected a path or a PIL image")
    opened = open_photograph(photo)
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
    count, is_function = len(images), utility.scores is logits_or_none
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


def _as_the_model_is(images: Tensor, model: nn.Module) -> Tensor:
    """On the model's device, in its precision and float32 at least, as is the model while it is explained."""
    weights = (weight for weight in model.parameters() if weight.is_floating_point() and not weight.is_meta)
    weight = next(weights, None)
    if weight is None:
        return images.to(device_of(model), torch.promote_types(images.dtype, torch.float32))
    return images.to(weight.device, torch.float64 if weight.dtype == torch.float64 else torch.float32)


def _number(target: Any) -> int:
    """A class number of any integer type, numpy's among them."""
    try:
        return index(target)
    except TypeError:
        raise TargetError(f"target {target!r} is a {type(target).__name__}; expected a class number or label") from None


def _photos(images: Any) -> list[Any]:
    if isinstance(images, (str, Path, Image.Image)):
        return [images]
    if isinstance(images, Iterable) and not isinstance(images, (np.ndarray, Mapping)):
        return list(images)
    raise ImageError(
        f"images were given as {type(images).__name__}; expected a path, a PIL image, a list of these, or a "
        "preprocessed float tensor (b, c, h, w)"
    )


def _check_tensor(images: Tensor) -> None:
    if images.layout != torch.strided or images.is_meta:
        kind = "no numbers (device meta)" if images.is_meta else f"layout {images.layout}"
        raise ImageError(f"a tensor with {kind}; expected preprocessed images (b, c, h, w), all numbers of them stored")
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
