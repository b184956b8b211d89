"""Real architectures with fewer channels: the modules, their names and what they do are the published networks'.

What a test asks of the structure of a network does not depend on its width, and its time does.
"""

from __future__ import annotations

from typing import Any

import timm
import torchvision
from torch import nn
from torchvision.models.convnext import CNBlockConfig

HEADS = (1, 2, 4, 8)
"""Of attention in the four stages of a Swin transformer of 24 to 192 channels."""
OF_TIMM: dict[str, dict[str, Any]] = {
    "cait_xxs24_224": {"embed_dim": 32, "num_heads": 4},
    "crossvit_tiny_240": {"embed_dim": [24, 48]},
    "maxvit_tiny_rw_224": {"embed_dim": (32, 32, 64, 64), "stem_width": 16},
    "swin_tiny_patch4_window7_224": {"embed_dim": 24, "num_heads": HEADS},
    "vit_small_patch14_reg4_dinov2": {"embed_dim": 48},
    "vit_tiny_patch16_224": {"embed_dim": 48},
}
_STAGES = [CNBlockConfig(width, 2 * width, blocks) for width, blocks in ((24, 3), (48, 3), (96, 9))]
OF_TORCHVISION = {
    "convnext_tiny": lambda: torchvision.models.ConvNeXt([*_STAGES, CNBlockConfig(192, None, 3)]),
    "swin_t": lambda: torchvision.models.SwinTransformer([4, 4], 24, [2, 2, 6, 2], [*HEADS], [7, 7]),
    "vit_b_32": lambda: torchvision.models.VisionTransformer(224, 32, 12, 4, 64, 256),
}
_TRAINED_BY_TWO = {"googlenet", "inception_v3"}
_WIDE_CLASSIFIERS = {"alexnet", "vgg11", "vgg16"}


def narrow_network(name: str, **options: Any) -> nn.Module:
    """Build an untrained network by its name, "timm:..." or "torchvision:...", narrow where its width takes time.

    `options` go to timm.
    """
    source, architecture = name.split(":")
    if source == "timm":
        return timm.create_model(architecture, **OF_TIMM.get(architecture, {}), **options)
    if architecture in OF_TORCHVISION:
        return OF_TORCHVISION[architecture]()
    alone = {"aux_logits": False, "init_weights": False}  # their second classifier is for training
    model = torchvision.models.get_model(architecture, **(alone if architecture in _TRAINED_BY_TWO else {}))
    if architecture in _WIDE_CLASSIFIERS:
        model.classifier = _narrow_classifier(model.classifier)
    return model


def _narrow_classifier(wide: nn.Sequential) -> nn.Sequential:
    """Return the same layers with 64 features in place of 4,096, whose hundred million weights take seconds."""
    features = next(module.in_features for module in wide if isinstance(module, nn.Linear))
    linears = iter((nn.Linear(features, 64), nn.Linear(64, 64), nn.Linear(64, 1000)))
    return nn.Sequential(*(next(linears) if isinstance(module, nn.Linear) else module for module in wide))
