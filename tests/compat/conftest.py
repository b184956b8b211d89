"""Six networks in float64 and photographs, on which the interfaces are put beside their packages."""

from __future__ import annotations

from functools import cache

import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms.functional import normalize, resize, to_tensor

from helpers.narrow_networks import narrow_network
from shapleycam.explaining.explainer import Explainer


def _without_in_place_relus(model):
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model


def _default():
    return Explainer("efficientnet_lite0", device="cpu").model


def _swin():
    return timm.create_model("swin_tiny_patch4_window7_224", depths=(1, 1), embed_dim=24, num_heads=(2, 2), img_size=56)


NETWORKS = {
    "resnet18": (torchvision.models.resnet18, "layer4.1", None),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, "features.17", None),
    "vgg11": (lambda: _without_in_place_relus(narrow_network("torchvision:vgg11")), "features.18", None),
    "vit_tiny": (
        lambda: timm.create_model("vit_tiny_patch16_224", depth=2, img_size=64),
        "blocks.1.norm1",
        lambda tokens: tokens[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2),
    ),
    "swin_tiny": (_swin, "layers.1.blocks.0.norm1", lambda cells: cells.permute(0, 3, 1, 2)),
    "default network": (_default, "bn2", None),
}


def _calibrated(model, images):
    """Give BatchNorm the images' statistics: without them MobileNet-V2's activations are below all constants (1e-7)."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train().momentum = 1.0
    with torch.no_grad():
        model(images)
    return model.eval()


@pytest.fixture(scope="session")
def build(photos):
    """Return a function that builds each network once."""

    @cache
    def built(name):
        torch.manual_seed(0)
        make, layer, reshape = NETWORKS[name]
        model = make().double().eval()
        side = 56 if name == "swin_tiny" else 64
        resized = [to_tensor(resize(Image.open(path), [side, side])) for path in photos[:2]]
        batch = torch.stack([normalize(image, [0.5] * 3, [0.5] * 3) for image in resized]).double()
        trained = name == "default network"
        return model if trained else _calibrated(model, batch), model.get_submodule(layer), reshape, batch

    return built


@pytest.fixture(params=NETWORKS)
def network(request, build):
    """A model in float64, its layer and reshape transform, and two images for it."""
    return build(request.param)
