"""A network together with what is needed to show it photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import timm.data
from PIL import Image
from timm.data import resolve_data_config
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from shapleycam.models.labels import imagenet_labels
from shapleycam.models.preprocess import Preprocess

Transform: TypeAlias = "Preprocess | Callable[[Image.Image], Tensor]"


@dataclass(frozen=True)
class Network:
    """A model, its preprocessing (RGB photograph to tensor (3, h, w)) and its class names.

    `origin` says where the weights come from; `layers` names the module that "before-pool" or "last-conv" means, where
    it is known and need not be found.
    """

    model: nn.Module
    preprocess: Transform | None = None
    labels: tuple[str, ...] | None = None
    name: str = ""
    origin: str = ""
    layers: Mapping[str, str] = field(default_factory=dict)


def preprocess_and_labels_of_timm(model: nn.Module) -> tuple[Transform | None, tuple[str, ...] | None]:
    """Preprocessing and labels that a timm model carries in `pretrained_cfg`; (None, None) for other models."""
    declared = getattr(model, "pretrained_cfg", None)
    if not isinstance(declared, dict):
        return None, None
    config: dict[str, Any] = resolve_data_config({}, model=model)
    labels = imagenet_labels() if declared.get("num_classes") == getattr(model, "num_classes", None) == 1000 else None
    return _from_timm(config), labels


def _from_timm(config: dict[str, Any]) -> Transform:
    height, width = config["input_size"][-2:]
    if config["crop_mode"] == "border" or height != width:
        transform: Callable[[Image.Image], Tensor] = timm.data.create_transform(**config)
        return transform
    scaled = int(height / config["crop_pct"])
    return Preprocess(
        resize=(scaled, scaled) if config["crop_mode"] == "squash" else scaled,
        crop=(height, width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=InterpolationMode(config["interpolation"]),
    )


def preprocess_and_labels_of_torchvision(weights: WeightsEnum) -> tuple[Transform, tuple[str, ...]]:
    """Preprocessing and labels of a torchvision weights entry."""
    return of_torchvision(weights.transforms()), tuple(weights.meta["categories"])


def of_torchvision(preset: ImageClassification) -> Preprocess:
    """The preprocessing that torchvision declares for a classifier."""
    (size,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocess(
        resize=size,
        crop=(crop, crop),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation,
    )
