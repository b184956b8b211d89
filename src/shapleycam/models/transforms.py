"""Converting preprocessing of torchvision and transformers to `Preprocess`, if it gives the same result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import pil_modes_mapping

from shapleycam.errors import ImageError, OptionError
from shapleycam.models.network import Transform, preprocess_from_torchvision
from shapleycam.models.preprocess import Preprocess
from shapleycam.models.processed_image import processed_image

_TOLERANCE = 0.02
"""How far two resizings of a picture may differ on average, in units of the network's input."""


def as_transform(processor: Any) -> Transform:
    """Return the preprocessing function for a torchvision preset, a transformers image processor, or any function.

    If `Preprocess` gives the same result (torchvision's presets, most processors), it is returned, because it knows the
    crop's position in the photograph. Any other function is returned unchanged.

    Raises:
        OptionError: the argument is not a function.
    """
    if isinstance(processor, ImageClassification):
        return preprocess_from_torchvision(processor)
    if not callable(processor):
        raise OptionError(
            f"preprocess= is a {type(processor).__name__}; expected a function from an RGB PIL image to a tensor "
            "(c, h, w), such as shapleycam.Preprocess(...), or an image processor of transformers"
        )
    if not hasattr(processor, "image_mean") or not hasattr(processor, "do_resize"):
        function: Transform = processor
        return function

    def process(photo: Image.Image) -> Tensor:
        return processed_image(lambda rgb: processor(rgb, return_tensors="pt"), photo)

    simple = _read_settings(processor)
    return simple if simple is not None and _do_the_same(simple, process) else process


def _read_settings(processor: Any) -> Preprocess | None:
    """Return the resizing, crop and normalisation that a processor's settings describe; None for other processing."""
    size, crop = _sides(getattr(processor, "size", None)), _sides(getattr(processor, "crop_size", None))
    if not size or not processor.do_resize or not getattr(processor, "do_normalize", False):
        return None
    cropped = crop if getattr(processor, "do_center_crop", False) else size
    mean, std = processor.image_mean, processor.image_std
    if not isinstance(cropped, tuple) or not isinstance(mean, (list, tuple)) or not isinstance(std, (list, tuple)):
        return None
    modes = {number: mode for mode, number in pil_modes_mapping.items()}
    mode = modes.get(int(processor.resample), InterpolationMode.BILINEAR)
    return Preprocess(size, cropped, tuple(mean), tuple(std), mode)


def _sides(size: Any) -> int | tuple[int, int] | None:
    """Return the shorter side, or (height, width), from a size in the form of transformers; None for other forms."""
    sides = {key: size[key] for key in ("shortest_edge", "height", "width") if size is not None and _has(size, key)}
    if "shortest_edge" in sides:
        return int(sides["shortest_edge"])
    return (int(sides["height"]), int(sides["width"])) if {"height", "width"} <= sides.keys() else None


def _has(size: Any, key: str) -> bool:
    return (size.get(key) if isinstance(size, dict) else getattr(size, key, None)) is not None


def _do_the_same(first: Callable[[Image.Image], Tensor], second: Callable[[Image.Image], Tensor]) -> bool:
    """Return whether two preprocessings give nearly the same result for a smooth picture that is wider than high."""
    ramp = torch.linspace(0, 255, 400, dtype=torch.float32, device="cpu")[None].expand(300, -1)
    photo = Image.merge("RGB", [Image.fromarray(c.byte().numpy()) for c in (ramp, ramp.flip(1), ramp / 2)])
    try:
        image, other_image = first(photo), second(photo)
    except (ImageError, RuntimeError, ValueError):
        return False
    return image.shape == other_image.shape and float((image - other_image).abs().mean()) < _TOLERANCE
