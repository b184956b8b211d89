"""The paper's twelve networks: names, weights, preprocessing and both layers as in its published tables."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms

import shapleycam
from shapleycam.errors import ModelError
from shapleycam.models import paper, zoo

TORCHVISION = (
    "resnet18", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "vgg16", "mobilenet_v2", "efficientnet_b0",
)  # fmt: skip
SWIN = {f"swin_{size}": f"swin_{size}_patch4_window7_224" for size in ("tiny", "small", "base", "large")}
ALL = (*TORCHVISION, *SWIN)

# What the paper's scripts write: the modules themselves, of a network.
BEFORE_POOL = {
    **dict.fromkeys(TORCHVISION[:5], lambda net: net.layer4[-1]),
    **dict.fromkeys(TORCHVISION[5:], lambda net: net.features[-1]),
    **dict.fromkeys(SWIN, lambda net: net.norm),
}
LAST_CONV = {
    **dict.fromkeys(TORCHVISION[:1], lambda net: net.layer4[-1].conv2),
    **dict.fromkeys(TORCHVISION[1:5], lambda net: net.layer4[-1].conv3),
    "vgg16": lambda net: net.features[-3],
    **dict.fromkeys(TORCHVISION[6:], lambda net: net.features[-1][0]),
    **dict.fromkeys(SWIN, lambda net: net.layers[-1].blocks[-1].norm1),
}
SHAPES = {  # of one 224 x 224 image, before pooling and at the last convolution
    "resnet18": ((512, 7, 7), (512, 7, 7)),
    "mobilenet_v2": ((1280, 7, 7), (1280, 7, 7)),
    "efficientnet_b0": ((1280, 7, 7), (1280, 7, 7)),
    "vgg16": ((512, 7, 7), (512, 14, 14)),
    "swin_tiny": ((7, 7, 768), (7, 7, 768)),
}


@cache
def load_bare_network(name: str) -> shapleycam.Network:
    """Load the network on the meta device: initialising the largest ones is too slow."""
    with torch.device("meta"):
        return zoo.load_network(name, pretrained=False)


@pytest.fixture(scope="module")
def published(data):
    """The rows of the published tables."""
    with (data.parent / "paper/results.csv").open() as file:
        return list(csv.DictReader(file))


# Names


def test_the_networks_are_those_of_the_published_tables(published):
    assert set(paper.NETWORKS) == {row["network"] for row in published} == set(ALL)
    assert len(ALL) == 12


def test_the_layers_are_those_of_the_published_tables(published):
    for name in ALL:
        assert set(load_bare_network(name).layers) == {row["layer"] for row in published if row["network"] == name}


def test_the_names_are_listed():
    assert sorted(zoo.network_names()["paper"]) == sorted(ALL)


# Weights


@pytest.fixture
def calls(monkeypatch):
    """Record the calls to the libraries' loaders instead of downloading."""
    calls = []

    def of_torchvision(name, **options):
        calls.append(("torchvision", name, options))
        return nn.Identity()

    def of_timm(name, **options):
        calls.append(("timm", name, options))
        return nn.Identity()

    monkeypatch.setattr(torchvision.models, "get_model", of_torchvision)
    monkeypatch.setattr(timm, "create_model", of_timm)
    return calls


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_first_weights_are_asked_for(name, calls):
    network = zoo.load_network(name)
    assert calls == [("torchvision", name, {"weights": "IMAGENET1K_V1"})]
    assert network.origin == "torchvision, IMAGENET1K_V1"
    zoo.load_network(name, pretrained=False)
    assert calls[1] == ("torchvision", name, {"weights": None})


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_has_these_weights(name):
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert len(weights.meta["categories"]) == 1000


@pytest.mark.parametrize("name", SWIN)
def test_timms_default_weights_are_asked_for(name, calls):
    assert zoo.load_network(name).origin == "timm"
    assert calls == [("timm", SWIN[name], {"pretrained": True})]
    zoo.load_network(name, pretrained=False)
    assert calls[1] == ("timm", SWIN[name], {"pretrained": False})


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("resnet18", "torchvision.models._api.load_state_dict_from_url"),
        ("mobilenet_v2", "torchvision.models._api.load_state_dict_from_url"),
        ("swin_tiny", "timm.models._builder.load_state_dict_from_hf"),
    ],
)
def test_without_a_network_one_line_names_the_way_out(name, hub, monkeypatch):
    urls = []

    def fail(*args, **__):
        urls.append(args[0])
        raise ConnectionError("the hub cannot be reached\nand so on, over many lines")

    monkeypatch.setattr(hub, fail)
    with torch.device("meta"), pytest.raises(ModelError) as refused:
        zoo.load_network(name)
    message = str(refused.value)
    assert message.startswith(f"model {name!r} could not be made (ConnectionError: the hub cannot be reached); ")
    assert "checkpoint=" in message
    assert "pretrained=False" in message
    if name in TORCHVISION:
        assert urls == [torchvision.models.get_model_weights(name).IMAGENET1K_V1.url]
    else:
        assert urls == [timm.get_pretrained_cfg(SWIN[name]).hf_hub_id]


def test_a_checkpoint_stands_in_for_the_published_weights(tmp_path):
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, tmp_path / "own.pth")
    network = zoo.load_network("resnet18", tmp_path / "own.pth")
    assert torch.equal(network.model.conv1.weight, state["conv1.weight"])
    assert network.origin == str(tmp_path / "own.pth")
    assert network.layers["last-conv"] == "layer4.1.conv2"


# Preprocessing and labels


@pytest.mark.parametrize("name", ALL)
def test_photographs_are_prepared_as_the_paper_does(name):
    preprocess = load_bare_network(name).preprocess
    assert (preprocess.resize, preprocess.crop, preprocess.interpolation.value) == (256, (224, 224), "bilinear")
    assert preprocess.mean == (0.485, 0.456, 0.406)
    assert preprocess.std == (0.229, 0.224, 0.225)


def test_the_preprocessing_is_that_of_the_papers_scripts():
    theirs = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 421, 3), dtype=np.uint8))
    assert torch.equal(paper.PREPROCESS(photo), theirs(photo))


@pytest.mark.parametrize("name", ALL)
def test_the_labels_are_those_of_imagenet(name):
    labels = load_bare_network(name).labels
    assert len(labels) == 1000
    assert labels[0].startswith("tench")
    assert labels[999].startswith("toilet tissue")


# Layers


@pytest.mark.parametrize("name", ALL)
def test_both_layers_are_the_modules_that_the_papers_scripts_take(name):
    network = load_bare_network(name)
    assert network.model.get_submodule(network.layers["before-pool"]) is BEFORE_POOL[name](network.model)
    assert network.model.get_submodule(network.layers["last-conv"]) is LAST_CONV[name](network.model)


@pytest.mark.parametrize("name", ALL)
def test_the_explainer_takes_the_papers_layers(name):
    network = load_bare_network(name)
    assert shapleycam.Explainer(network).find_layer() == network.layers["before-pool"]
    assert shapleycam.Explainer(network, layer="before-pool").find_layer() == network.layers["before-pool"]
    assert shapleycam.Explainer(network, layer="last-conv").find_layer() == network.layers["last-conv"]


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_last_convolution_is_one(name):
    network = load_bare_network(name)
    last = network.model.get_submodule(network.layers["last-conv"])
    assert isinstance(last, nn.Conv2d)
    assert [module for module in network.model.modules() if isinstance(module, nn.Conv2d)][-1] is last


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_layer_of_the_users_own_is_taken_instead(name):
    network = load_bare_network(name)
    first = next(n for n, module in network.model.named_modules() if isinstance(module, nn.Conv2d))
    assert shapleycam.Explainer(network, layer=first).find_layer() == first


@pytest.mark.parametrize("name", SHAPES)
def test_the_layers_have_the_shapes_of_an_image(name):
    network = load_bare_network(name)
    seen = {}
    hooks = [
        network.model.get_submodule(layer).register_forward_hook(
            lambda _module, _in, out, rule=rule: seen.update({rule: tuple(out.shape[1:])})
        )
        for rule, layer in network.layers.items()
    ]
    network.model(torch.empty(1, 3, 224, 224, device="meta"))
    for hook in hooks:
        hook.remove()
    assert (seen["before-pool"], seen["last-conv"]) == SHAPES[name]


# Explained, untrained


@pytest.mark.filterwarnings(
    "ignore::shapleycam.errors.ShapleyCamWarning"
)  # what an untrained map shows is not the point
@pytest.mark.parametrize(
    ("name", "grids"),
    [
        ("resnet18", ((7, 7), (7, 7))),
        ("mobilenet_v2", ((7, 7), (7, 7))),
        ("efficientnet_b0", ((7, 7), (7, 7))),
        ("swin_tiny", ((7, 7), (7, 7))),
    ],
)
def test_a_photograph_is_explained_untrained_at_both_layers(name, grids, hopper):
    torch.manual_seed(0)
    network = zoo.load_network(name, pretrained=False)
    assert network.origin == "untrained"
    for rule, grid in zip(("before-pool", "last-conv"), grids, strict=True):
        explainer = shapleycam.Explainer(network, layer=rule)
        e = explainer.explain(hopper, "hirescam", 652, "logit")
        assert e.layer == network.layers[rule]
        assert e.values.shape == (1, *grid)
        assert e.heatmap.shape == (1, 224, 224)
        assert e.label() == "military uniform"
        with torch.no_grad():
            expected = network.model(explainer.preprocess(Image.open(hopper).convert("RGB"))[None])[0, 652]
        assert float(e.utility) == pytest.approx(float(expected), abs=1e-4)
