"""torchvision's detectors by name, with the model's preprocessing and the class names of its weights."""

from __future__ import annotations

from functools import partial

import torchvision

from shapleycam.models.building import OTHER_WEIGHTS, UNTRAINED, build
from shapleycam.models.detectors import as_box_scores
from shapleycam.models.network import Network


def detector_names() -> list[str]:
    """Return the names of torchvision's detectors."""
    return list(torchvision.models.list_models(module=torchvision.models.detection))


def load_torchvision_detector(name: str, *, pretrained: bool) -> Network:
    """Return one of torchvision's detectors by its name there.

    Raises:
        ModelError: its weights cannot be loaded.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    create = partial(
        torchvision.models.get_model,
        name,
        weights=weights if pretrained else None,
        weights_backbone=None,
        num_classes=len(weights.meta["categories"]),
    )
    model = build(create, f"torchvision:{name}", OTHER_WEIGHTS).eval()
    labels = tuple(map(str, weights.meta["categories"]))
    origin = str(weights) if pretrained else UNTRAINED
    return Network(model, as_box_scores(model).default_preprocess(), labels, f"torchvision:{name}", origin)
