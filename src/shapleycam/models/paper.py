"""The twelve networks of the paper's tables, with its weights, preprocessing and layers (arXiv:2501.06261)."""

from __future__ import annotations

from dataclasses import dataclass

import timm
import torchvision
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torchvision.transforms import InterpolationMode

from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, built
from shapleycam.models.labels import imagenet_labels
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess

_BEFORE_POOL, _LAST_CONV = "before-pool", "last-conv"


@dataclass(frozen=True)
class _Row:
    """What a network is called where its weights come from, and its two layers."""

    model: str
    before_pool: str
    last_conv: str


_SWIN = ("norm", "layers.3.blocks.1.norm1")
NETWORKS = {
    "resnet18": _Row("torchvision:resnet18", "layer4.1", "layer4.1.conv2"),
    "resnet50": _Row("torchvision:resnet50", "layer4.2", "layer4.2.conv3"),
    "resnet101": _Row("torchvision:resnet101", "layer4.2", "layer4.2.conv3"),
    "resnet152": _Row("torchvision:resnet152", "layer4.2", "layer4.2.conv3"),
    "resnext50_32x4d": _Row("torchvision:resnext50_32x4d", "layer4.2", "layer4.2.conv3"),
    "vgg16": _Row("torchvision:vgg16", "features.30", "features.28"),
    "mobilenet_v2": _Row("torchvision:mobilenet_v2", "features.18", "features.18.0"),
    "efficientnet_b0": _Row("torchvision:efficientnet_b0", "features.8", "features.8.0"),
    **{
        f"swin_{size}": _Row(f"timm:swin_{size}_patch4_window7_224", *_SWIN)
        for size in ("tiny", "small", "base", "large")
    },
}
"""By the names that the published tables use."""

PREPROCESS = Preprocess(
    resize=256,
    crop=(224, 224),
    mean=IMAGENET_DEFAULT_MEAN,
    std=IMAGENET_DEFAULT_STD,
    interpolation=InterpolationMode.BILINEAR,
)
"""The paper's for all twelve, Swin too."""


def load_paper_network(name: str, *, pretrained: bool) -> Network:
    """One of the twelve; torchvision's IMAGENET1K_V1 weights, timm's default ones for Swin.

    Raises:
        ModelError: the weights cannot be had.
    """
    row = NETWORKS[name]
    source, _, own_name = row.model.partition(":")

    def make() -> nn.Module:
        if source == "timm":
            model: nn.Module = timm.create_model(own_name, pretrained=pretrained)
            return model
        found: nn.Module = torchvision.models.get_model(own_name, weights="IMAGENET1K_V1" if pretrained else None)
        return found

    layers = {_BEFORE_POOL: row.before_pool, _LAST_CONV: row.last_conv}
    origin = (f"{source}, IMAGENET1K_V1" if source == "torchvision" else source) if pretrained else UNTRAINED
    return Network(built(make, name, OTHER_WEIGHTS).eval(), PREPROCESS, imagenet_labels(), name, origin, layers)
