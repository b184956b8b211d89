"""The heads of bench/shapley.py: where the true values come from, and what a coalition costs there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import timm
import torch
import torchvision
from torch import Tensor, nn

from shapleycam import Explainer


@dataclass(frozen=True)
class Case:
    """A network and a layer.

    Attributes:
        name: in the table.
        make: makes the explainer, given photographs to calibrate an untrained network's norms with.
        photos: how many photographs are explained at most.
        tolerance: to which the true values are sampled.
        most_orders: of our sampling at fixed numbers of orders.
        budgets: evaluations of the peers.
    """

    name: str
    make: Callable[[list[Path]], Explainer]
    photos: int
    tolerance: float
    most_orders: int = 256
    budgets: tuple[int, ...] = (512, 2048, 8192)


def _default(_photos: list[Path], layer: str) -> Explainer:
    return Explainer("efficientnet_lite0", layer=layer, device="cpu")


class NormOfTheMean(nn.Module):
    """The default network with a LayerNorm between the mean over positions and the classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.norm = network, nn.LayerNorm(1280)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        mean = self.network.forward_features(images).mean((2, 3))
        logits: Tensor = self.network.classifier(self.norm(mean))
        return logits


def _norm_of_the_mean(_photos: list[Path]) -> Explainer:
    default = Explainer("efficientnet_lite0", device="cpu")
    return Explainer(
        NormOfTheMean(default.model).eval(), layer="network.bn2", preprocess=default.preprocess, device="cpu"
    )


def _resnet(photos: list[Path]) -> Explainer:
    """Return a ResNet-50 with He's initial weights (torchvision's own), its norms calibrated with photographs."""
    torch.manual_seed(0)
    model = torchvision.models.resnet50()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the first batch's statistics as they are
    preprocess = torchvision.models.ResNet50_Weights.DEFAULT.transforms()
    images = Explainer("efficientnet_lite0", device="cpu").explain(photos[:8], "gradcam").images
    with torch.no_grad():
        model.train()(images)
    return Explainer(
        model.eval().requires_grad_(requires_grad=False), layer="layer4.1", preprocess=preprocess, device="cpu"
    )


def _deit(_photos: list[Path]) -> Explainer:
    """Return a DeiT-small whose attention is sharp: every matrix is three times as large as timm draws it."""
    torch.manual_seed(0)
    model = timm.create_model("deit_small_patch16_224").eval().requires_grad_(requires_grad=False)
    for weights in model.parameters():
        if weights.dim() == 2:
            weights.mul_(3)
    return Explainer(model, device="cpu")


CASES = (
    Case("EfficientNet-Lite0, bn2", partial(_default, layer="bn2"), 3, 0.002),
    Case("EfficientNet-Lite0, blocks.6", partial(_default, layer="blocks.6"), 3, 0.002),
    Case("EfficientNet-Lite0, blocks.5", partial(_default, layer="blocks.5"), 2, 0.005, 64, (512, 2048)),
    Case("ResNet-50 (He's initial weights, calibrated norms), layer4.1", _resnet, 1, 0.005, 64, (512, 2048)),
    Case("DeiT-small (untrained, all matrices 3 x), blocks.11.norm1", _deit, 2, 0.002, 64, (1024, 4096)),
    Case("EfficientNet-Lite0, bn2, a LayerNorm of the mean behind it", _norm_of_the_mean, 1, 0.01),
)
