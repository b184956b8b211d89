"""The twelve networks in the paper's tables, with the paper's weights, preprocessing and layers (arXiv:2501.06261)."""

from __future__ import annotations

import torchvision
from torch import nn
from torchvision.transforms import InterpolationMode

from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, build
from shapleycam.models.labels import imagenet_labels
from shapleycam.models.network import Network
from shapleycam.models.paper_networks import NETWORKS
from shapleycam.models.preprocess import Preprocess

_BEFORE_POOL, _LAST_CONV = "before-pool", "last-conv"

PREPROCESS = Preprocess(
    resize=256,
    crop=(224, 224),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    interpolation=InterpolationMode.BILINEAR,
)
"""The paper's preprocessing, the same for all twelve networks."""


def load_paper_network(name: str, *, pretrained: bool) -> Network:
    """Return one of the twelve networks, with torchvision's IMAGENET1K_V1 weights, or timm's default weights for Swin.

    Raises:
        ModelError: the weights cannot be loaded.
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
