"""Networks of six architectures with random weights, and layers of theirs: what devices are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import timm
import torch
import torchvision
from torch import Tensor, nn


class NetworkCase(NamedTuple):
    """How a network is made, the layers at which it is explained, and the side of its images."""

    make: Callable[[], nn.Module]
    layers: tuple[str, ...]
    side: int


def _timm(name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name)


NETWORKS = {
    "resnet18": NetworkCase(torchvision.models.resnet18, ("layer4", "layer3"), 128),
    "mobilenet_v2": NetworkCase(torchvision.models.mobilenet_v2, ("features", "features.13"), 128),
    "efficientnet_lite0": NetworkCase(_timm("efficientnet_lite0"), ("bn2", "blocks.5"), 128),
    "deit_small": NetworkCase(_timm("deit_small_patch16_224"), ("blocks.11.norm1", "blocks.10.norm1"), 224),
    "swin_tiny": NetworkCase(
        _timm("swin_tiny_patch4_window7_224"), ("layers.3.blocks.1.norm1", "layers.3.blocks.0.norm1"), 224
    ),
    "convnext_tiny": NetworkCase(_timm("convnext_tiny"), ("stages.3", "stages.2"), 128),
}


def make_network(name: str) -> nn.Module:
    """Return a network in eval mode, always with the same random weights, and a classifier whose classes differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NETWORKS[name].make().eval()
        classifier = next(module for module in reversed(list(model.modules())) if isinstance(module, nn.Linear))
        nn.init.normal_(classifier.weight, std=0.2)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 2)
    return model


def make_images(side: int, count: int = 2) -> Tensor:
    """Return images (count, 3, side, side) of coarse shapes and some noise, always the same."""
    generator = torch.Generator().manual_seed(7)
    shapes = torch.randn(count, 3, 7, 7, generator=generator)
    coarse = nn.functional.interpolate(shapes, size=(side, side), mode="bicubic")
    return coarse + 0.1 * torch.randn(count, 3, side, side, generator=generator)


def relative_difference(actual: Tensor, expected: Tensor) -> float:
    """Return ‖actual - expected‖ / ‖expected‖ of the image where it is largest; NaN never passes a comparison."""
    rows, expected_rows = (tensor.detach().cpu().double().flatten(1) for tensor in (actual, expected))
    return float(((rows - expected_rows).norm(dim=1) / expected_rows.norm(dim=1).clamp(min=1e-30)).max())
