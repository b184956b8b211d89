"""The models of the soak: named, of three libraries, and the user's own, plain and wrapped."""

from __future__ import annotations

import random
from collections.abc import Callable

import timm
import torch
import torchvision
from torch import Tensor, nn

from shapleycam import Network, Preprocess

NORMALISED = Preprocess(resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class Small(nn.Module):
    """A fully convolutional network of the user's, with batch norm, dropout and operations in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, stride=2), nn.BatchNorm2d(12), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(12, 16, 3, stride=2), nn.GELU(), nn.Dropout(0.5), nn.BatchNorm2d(16))
        self.head = nn.Linear(16, 6)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (b, 6)."""
        return self.head(nn.functional.softplus(self.body(self.stem(images))).mean((2, 3)))


def _torchvision(name: str) -> Callable[[], Network]:
    return lambda: Network(torchvision.models.get_model(name, num_classes=10), preprocess=NORMALISED, labels=None)


def _timm(name: str, **sizes: object) -> Callable[[], Network]:
    return lambda: Network(timm.create_model(name, num_classes=10, **sizes), preprocess=NORMALISED, labels=None)


MODELS: dict[str, Callable[[], str | nn.Module | Network]] = {
    "efficientnet_lite0": lambda: "efficientnet_lite0",
    "resnet18": _torchvision("resnet18"),
    "mobilenet_v3_small": _torchvision("mobilenet_v3_small"),
    "ViT": _timm("vit_tiny_patch16_224", depth=4),
    "Swin": _timm("swin_tiny_patch4_window7_224", embed_dim=32, depths=(1, 1, 2, 1), num_heads=(1, 2, 4, 8)),
    "ConvNeXt": _timm("convnext_atto"),
    "user's module": Small,
    "DataParallel": lambda: nn.DataParallel(Small()),
    "compiled": lambda: torch.compile(Small(), backend="eager"),
}
"""By name, a function that makes the model anew; weights other than those of the default network are random."""


def noise_of_any_size(draw: random.Random) -> Tensor:
    """Return a batch of noise of a size that was probably not drawn before."""
    return torch.rand(draw.randint(1, 4), 3, draw.randint(24, 160), draw.randint(24, 160))
