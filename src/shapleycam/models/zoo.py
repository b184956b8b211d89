"""Networks by name: the default, the paper's, those of timm, torchvision, transformers and ultralytics, the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torchvision

from shapleycam.models import factories, hugging_face, paper, torchvision_detectors, ultralytics_models
from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, build, unknown_model
from shapleycam.models.checkpoint import fill_model, read_checkpoint
from shapleycam.models.lite_networks import LITE_NETWORKS, load_lite_network
from shapleycam.models.network import Network, preprocess_and_labels_of_timm, preprocess_and_labels_of_torchvision

DEFAULT = "efficientnet_lite0"
_EXPECT_IMAGENET_INPUT = {"googlenet", "inception_v3"}
"""Torchvision's networks whose published weights need `transform_input=True`, which undoes ImageNet's normalisation.

A checkpoint for them is assumed to be the published weights, or to be fine-tuned from them.
"""


def load_network(name: str, checkpoint: str | Path | None = None, *, pretrained: bool = True) -> Network:
    """Return a network by name.

    Args:
        name: `efficientnet_lite0` (or 1 or 2), one of the paper's (`resnet50`), `timm:NAME`, `torchvision:NAME`,
            `hf:NAME`, `ultralytics:NAME.yaml`, `path/to/file.py:function` or `package.module:function`.
        checkpoint: a file of weights to use instead of the published ones, .safetensors or .pth with only tensors.
        pretrained: False returns an untrained network.

    Raises:
        ModelError: the name is unknown, the weights cannot be loaded, or the checkpoint does not fit.

    Examples:
        >>> network = load_network("efficientnet_lite0")
        >>> network.labels[652], network.preprocess.crop
        ('military uniform', (224, 224))
    """
    network = _load_from_source(name, pretrained=pretrained and checkpoint is None)
    if checkpoint is None:
        return network
    fill_model(network.model, read_checkpoint(Path(checkpoint)), str(checkpoint))
    return replace(network, origin=str(checkpoint))


def network_names() -> dict[str, list[str]]:
    """Return the names of all networks that can be listed, by source."""
    return {
        "default": list(LITE_NETWORKS),
        "paper": list(paper.NETWORKS),
        "timm": [f"timm:{name}" for name in _timm().list_models()],
        "torchvision": _torchvision_names(),
        "detectors": [f"torchvision:{name}" for name in torchvision_detectors.detector_names()],
    }


def _load_from_source(name: str, *, pretrained: bool) -> Network:
    source, separator, source_name = name.partition(":")
    if name in LITE_NETWORKS:
        return load_lite_network(name, pretrained=pretrained)
    if name in paper.NETWORKS:
        return paper.load_paper_network(name, pretrained=pretrained)
    if separator and source in SOURCES:
        return SOURCES[source](source_name, pretrained=pretrained)
    if factories.is_factory_name(name):
        return factories.load_from_factory(name)
    raise unknown_model(name, [known for names in network_names().values() for known in names])


def _timm() -> Any:
    """Return the timm package; it is imported late, because that takes nearly a second and the user may not need it."""
    import timm

    return timm


def _load_from_timm(name: str, *, pretrained: bool) -> Network:
    timm = _timm()
    if not timm.is_model(name.split(".", maxsplit=1)[0]):
        raise unknown_model(f"timm:{name}", network_names()["timm"])
    create = partial(timm.create_model, name, pretrained=pretrained)
    model = build(create, f"timm:{name}", OTHER_WEIGHTS).eval()
    preprocess, labels = preprocess_and_labels_of_timm(model)
    return Network(model, preprocess, labels, f"timm:{name}", "timm" if pretrained else UNTRAINED)


def _load_from_torchvision(name: str, *, pretrained: bool) -> Network:
    if name in torchvision_detectors.detector_names():
        return torchvision_detectors.load_torchvision_detector(name, pretrained=pretrained)
    if f"torchvision:{name}" not in _torchvision_names():
        raise unknown_model(f"torchvision:{name}", _torchvision_names())
    weights = torchvision.models.get_model_weights(name).DEFAULT
    options: dict[str, Any] = {"transform_input": True} if name in _EXPECT_IMAGENET_INPUT else {}
    create = partial(torchvision.models.get_model, name, weights=weights if pretrained else None, **options)
    model = build(create, f"torchvision:{name}", OTHER_WEIGHTS).eval()
    preprocess, labels = preprocess_and_labels_of_torchvision(weights)
    return Network(model, preprocess, labels, f"torchvision:{name}", str(weights) if pretrained else UNTRAINED)


def _torchvision_names() -> list[str]:
    return [f"torchvision:{name}" for name in torchvision.models.list_models(module=torchvision.models)]


SOURCES: dict[str, Callable[..., Network]] = {
    "timm": _load_from_timm,
    "torchvision": _load_from_torchvision,
    "hf": hugging_face.load_from_hugging_face,
    "ultralytics": ultralytics_models.load_from_ultralytics,
}
"""Sources of networks by the prefix of their names; a new source is a function here, or in a file of its own."""
