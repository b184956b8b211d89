"""The twelve networks of the paper's tables, with its weights, preprocessing and layers (arXiv:2501.06261)."""

from __future__ import annotations

from dataclasses import dataclass

import torchvision
from torch import nn
from torchvision.transforms import InterpolationMode

from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, build
from shapleycam.models.labels import imagenet_labels
from shapleycam.models.network import Network
from shapleycam.models.preprocess import Preprocess

_BEFORE_POOL, _LAST_CONV = "before-pool", "last-conv"


@dataclass(frozen=True)
class _PaperNetwork:
    """The name of a network where its weights come from, and its two layers."""

    model: str
    before_pool: str
    last_conv: str


_SWIN_LAYERS = ("norm", "layers.3.blocks.1.norm1")
NETWORKS = {
    "resnet18": _PaperNetwork("torchvision:resnet18", "layer4.1", "layer4.1.conv2"),
    "resnet50": _PaperNetwork("torchvision:resnet50", "layer4.2", "layer4.2.conv3"),
    "resnet101": _PaperNetwork("torchvision:resnet101", "layer4.2", "layer4.2.conv3"),
    "resnet152": _PaperNetwork("torchvision:resnet152", "layer4.2", "layer4.2.conv3"),
    "resnext50_32x4d": _PaperNetwork("torchvision:resnext50_32x4d", "layer4.2", "layer4.2.conv3"),
    "vgg16": _PaperNetwork("torchvision:vgg16", "features.30", "features.28"),
    "mobilenet_v2": _PaperNetwork("torchvision:mobilenet_v2", "features.18", "features.18.0"),
    "efficientnet_b0": _PaperNetwork("torchvision:efficientnet_b0", "features.8", "features.8.0"),
    **{
        f"swin_{size}": _PaperNetwork(f"timm:swin_{size}_patch4_window7_224", *_SWIN_LAYERS)
        for size in ("tiny", "small", "base", "large")
    },
}
"""By the names that the published tables use."""

PREPROCESS = Preprocess(
    resize=256,
    crop=(224, 224),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    interpolation=InterpolationMode.BILINEAR,
)
"""The paper's preprocessing, for all twelve, Swin too."""


def load_paper_network(name: str, *, pretrained: bool) -> Network:
    """Return one of the twelve, with torchvision's IMAGENET1K_V1 weights, or timm's default ones for Swin.

    Raises:
        ModelError: the weights cannot be had.
    """
    row = NETWORKS[name]
    source, _, source_name = row.model.partition(":")

    def make() -> nn.Module:
        if source == "timm":
            import timm

            model: nn.Module = timm.create_model(source_name, pretrained=pretrained)
        else:
            model = torchvision.models.get_model(source_name, weights="IMAGENET1K_V1" if pretrained else None)
        return model

    layers = {_BEFORE_POOL: row.before_pool, _LAST_CONV: row.last_conv}
    origin = (f"{source}, IMAGENET1K_V1" if source == "torchvision" else source) if pretrained else UNTRAINED
    model = build(make, name, OTHER_WEIGHTS).eval()
    return Network(model, PREPROCESS, imagenet_labels(), name, origin, layers)
