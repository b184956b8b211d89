"""`Network`: a model with its preprocessing and class names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from shapleycam.models.labels import imagenet_labels
from shapleycam.models.preprocess import Preprocess

Transform: TypeAlias = "Preprocess | Callable[[Image.Image], Tensor]"


@dataclass(frozen=True)
class Network:
    """A model with its preprocessing and its class names.

    Attributes:
        model: maps images (b, 3, h, w) to scores (b, classes).
        preprocess: maps an RGB photograph to the network's input (3, h, w); None if only tensors are explained.
        labels: the class names, in the order of the scores; None if classes have only numbers.
        name: the network's name in results.
        origin: where the weights come from.
        layers: the modules that the rules "before-pool" and "last-conv" find, if they are known without a search.

    Examples:
        >>> import torch
        >>> from shapleycam import Explainer, Network
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(3, 2, 4, stride=4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        ... )
        >>> network = Network(model, labels=("cat", "dog"))
        >>> explainer = Explainer(network, device="cpu")
        >>> explanation = explainer.explain(torch.rand(1, 3, 8, 8), "sampledshapley", target="dog")
        >>> explanation.target.tolist()
        [1]
    """

    model: nn.Module
    preprocess: Transform | None = None
    labels: tuple[str, ...] | None = None
    name: str = ""
    origin: str = ""
    layers: Mapping[str, str] = field(default_factory=dict)


def preprocess_and_labels_of_timm(model: nn.Module) -> tuple[Transform | None, tuple[str, ...] | None]:
    """Return the preprocessing and labels from a timm model's `pretrained_cfg`; (None, None) for other models."""
    pretrained_config = getattr(model, "pretrained_cfg", None)
    if not isinstance(pretrained_config, dict):
        return None, None
    from timm.data import resolve_data_config

    config: dict[str, Any] = resolve_data_config({}, model=model)
    is_imagenet = pretrained_config.get("num_classes") == getattr(model, "num_classes", None) == 1000
    return _preprocess_from_timm(config), imagenet_labels() if is_imagenet else None


def _preprocess_from_timm(config: dict[str, Any]) -> Transform:
    height, width = config["input_size"][-2:]
    if config["crop_mode"] == "border" or height != width:  # `Preprocess` cannot do these
        from timm.data import create_transform

        transform: Callable[[Image.Image], Tensor] = create_transform(**config)
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
    """Return the preprocessing and labels of a torchvision weights entry."""
    return preprocess_from_torchvision(weights.transforms()), tuple(weights.meta["categories"])


def preprocess_from_torchvision(preset: ImageClassification) -> Preprocess:
    """Return the preprocessing that torchvision declares for a classifier."""
    (size,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocess(
        resize=size,
        crop=(crop, crop),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation,
    )
