"""Other libraries' preprocessing as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import pil_modes_mapping

from shapleycam.models.network import Transform, of_torchvision
from shapleycam.models.preprocess import Preprocess

_SAME = 0.02
"""How far two resizings of a picture may differ on average, in units of the network's input."""


def as_transform(processor: Any) -> Transform:
    """A preprocessing function of a photograph: the given one, or made of an image processor of transformers.

    Where `Preprocess` does the same (torchvision's for its classifiers, most processors) it is used, because it knows
    where the crop lies in the photograph.
    """
    if isinstance(processor, ImageClassification):
        return of_torchvision(processor)
    if not hasattr(processor, "image_mean") or not hasattr(processor, "do_resize"):
        chosen: Transform = processor
        return chosen

    def own(photo: Image.Image) -> Tensor:
        pixels: Tensor = processor(photo, return_tensors="pt")["pixel_values"][0]
        return pixels

    simple = _simple(processor)
    return simple if simple is not None and _agree(simple, own) else own


def _simple(processor: Any) -> Preprocess | None:
    """Resize, crop, normalise, as far as the processor's settings say so."""
    size, crop = _sides(getattr(processor, "size", None)), _sides(getattr(processor, "crop_size", None))
    if not size or not processor.do_resize or not getattr(processor, "do_normalize", False):
        return None
    cropped = crop if getattr(processor, "do_center_crop", False) else size
    if not isinstance(cropped, tuple):
        return None
    modes = {number: mode for mode, number in pil_modes_mapping.items()}
    mode = modes.get(int(processor.resample), InterpolationMode.BILINEAR)
    return Preprocess(size, cropped, tuple(processor.image_mean), tuple(processor.image_std), mode)


def _sides(size: Any) -> int | tuple[int, int] | None:
    """Of transformers' size: the shorter side, or (height, width)."""
    given = {key: size[key] for key in ("shortest_edge", "height", "width") if size is not None and _has(size, key)}
    if "shortest_edge" in given:
        return int(given["shortest_edge"])
    return (int(given["height"]), int(given["width"])) if {"height", "width"} <= given.keys() else None


def _has(size: Any, key: str) -> bool:
    return (size.get(key) if isinstance(size, dict) else getattr(size, key, None)) is not None


def _agree(one: Callable[[Image.Image], Tensor], other: Callable[[Image.Image], Tensor]) -> bool:
    """Whether two preprocessings make the same of a photograph (a smooth picture, wider than high)."""
    ramp = torch.linspace(0, 255, 400)[None].expand(300, -1)
    photo = Image.merge("RGB", [Image.fromarray(c.byte().numpy()) for c in (ramp, ramp.flip(1), ramp / 2)])
    try:
        ours, theirs = one(photo), other(photo)
    except (RuntimeError, ValueError):
        return False
    return ours.shape == theirs.shape and float((ours - theirs).abs().mean()) < _SAME
