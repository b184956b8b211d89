"""Image classifiers of transformers, from the hub or a folder; and what its processors say of preprocessing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import pil_modes_mapping

from shapleycam.errors import ModelError
from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, built
from shapleycam.models.network import Network, Transform
from shapleycam.models.preprocess import Preprocess

_NAMELESS = re.compile(r"LABEL_\d+")
_SAME = 0.02
"""How far two resizings of a picture may differ on average, in units of the network's input."""


def load(name: str, *, pretrained: bool) -> Network:
    """The image classifier `name` of the Hugging Face hub, or in the folder of that path.

    Its weights are read from safetensors, or else from a file of tensors alone; no code of the hub is run.

    Raises:
        ModelError: transformers is not installed, or the model cannot be had.
    """
    transformers = library(f"hf:{name}")
    if pretrained:
        make: Callable[[], nn.Module] = lambda: transformers.AutoModelForImageClassification.from_pretrained(name)  # noqa: E731
    else:
        config = built(lambda: transformers.AutoConfig.from_pretrained(name), f"hf:{name}", _WHERE)
        make = lambda: transformers.AutoModelForImageClassification.from_config(config)  # noqa: E731
    model = built(make, f"hf:{name}", f"{_WHERE}; {OTHER_WEIGHTS}").eval()
    return Network(model, _processor(transformers, name), labels_of(model), f"hf:{name}",
                   f"transformers, {name}" if pretrained else UNTRAINED)  # fmt: skip


_WHERE = "give the name of an image classifier on the hub, or a folder that save_pretrained wrote"


def library(name: str) -> Any:
    """The transformers package.

    Raises:
        ModelError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise ModelError(
            f"model {name!r} needs transformers, which is not installed; pip install 'shapleycam[hf]'"
        ) from None
    return transformers


def labels_of(model: nn.Module) -> tuple[str, ...] | None:
    """The class names in a transformers model's config; None for other models, and where it just numbers them."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        return None
    ordered = tuple(str(names[index]) for index in range(len(names)))
    return None if all(map(_NAMELESS.fullmatch, ordered)) else ordered


def as_transform(processor: Any) -> Transform:
    """A preprocessing function of a photograph, made of an image processor of transformers if it is one.

    Where `Preprocess` does the same it is used, because it knows where the crop lies in the photograph.
    """
    if not hasattr(processor, "image_mean") or not hasattr(processor, "do_resize"):
        chosen: Transform = processor
        return chosen

    def own(photo: Image.Image) -> Tensor:
        pixels: Tensor = processor(photo, return_tensors="pt")["pixel_values"][0]
        return pixels

    simple = _simple(processor)
    return simple if simple is not None and _agree(simple, own) else own


def _processor(transformers: Any, name: str) -> Transform | None:
    try:
        return as_transform(transformers.AutoImageProcessor.from_pretrained(name))
    except (OSError, ValueError):  # none was saved with the model: photographs then need preprocess=
        return None


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
