"""Names of the twelve networks in the paper's tables and of their layers; this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperNetwork:
    """A network's name at the source of its weights, and the names of its two layers."""

    model: str
    before_pool: str
    last_conv: str


_SWIN_LAYERS = ("norm", "layers.3.blocks.1.norm1")
NETWORKS = {
    "resnet18": PaperNetwork("torchvision:resnet18", "layer4.1", "layer4.1.conv2"),
    "resnet50": PaperNetwork("torchvision:resnet50", "layer4.2", "layer4.2.conv3"),
    "resnet101": PaperNetwork("torchvision:resnet101", "layer4.2", "layer4.2.conv3"),
    "resnet152": PaperNetwork("torchvision:resnet152", "layer4.2", "layer4.2.conv3"),
    "resnext50_32x4d": PaperNetwork("torchvision:resnext50_32x4d", "layer4.2", "layer4.2.conv3"),
    "vgg16": PaperNetwork("torchvision:vgg16", "features.30", "features.28"),
    "mobilenet_v2": PaperNetwork("torchvision:mobilenet_v2", "features.18", "features.18.0"),
    "efficientnet_b0": PaperNetwork("torchvision:efficientnet_b0", "features.8", "features.8.0"),
    **{
        f"swin_{size}": PaperNetwork(f"timm:swin_{size}_patch4_window7_224", *_SWIN_LAYERS)
        for size in ("tiny", "small", "base", "large")
    },
}
"""The networks, by their names in the paper's tables."""
