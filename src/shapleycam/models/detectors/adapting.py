"""A detector of any of the known families as one that is asked of a box."""

from __future__ import annotations

from dataclasses import replace

from torch import nn
from torchvision.models.detection import FasterRCNN

from shapleycam.errors import ModelError
from shapleycam.models.detectors.base import BoxScores
from shapleycam.models.detectors.queries import QueryScores
from shapleycam.models.detectors.torchvision_one_stage import ONE_STAGE, OneStageScores
from shapleycam.models.detectors.torchvision_two_stage import TwoStageScores
from shapleycam.models.detectors.yolo import YoloScores
from shapleycam.models.network import Network


def as_box_scores(model: nn.Module) -> BoxScores:
    """Return a detector as one that is asked of a box; its weights are shared.

    Raises:
        ModelError: the model is no detector that is known.
    """
    kind = type(model)
    if isinstance(model, BoxScores):
        return model
    if isinstance(model, ONE_STAGE):
        return OneStageScores(model)
    if isinstance(model, FasterRCNN):  # and its children, Mask and Keypoint R-CNN
        return TwoStageScores(model)
    if is_of_ultralytics(model):
        return YoloScores(model)
    if kind.__name__.endswith("ForObjectDetection") and hasattr(model, "config"):
        return QueryScores(model)
    raise ModelError(
        f"the model is a {kind.__name__}; expected a detector: one of torchvision (Faster, Mask or Keypoint R-CNN, "
        "RetinaNet, FCOS, SSD), transformers (DETR, YOLOS, RT-DETR and their kin) or ultralytics (its .model); for "
        "another one give an Explainer a function of yours as utility"
    )


def is_of_ultralytics(model: nn.Module) -> bool:
    """Return whether a model has the form of ultralytics' detectors: class names, and modules with a head at the end."""
    return hasattr(model, "names") and isinstance(getattr(model, "model", None), nn.Sequential)


def is_detector(model: nn.Module) -> bool:
    """Return whether a model is a detector that is known."""
    try:
        as_box_scores(model)
    except ModelError:
        return False
    return True


def detector_network(network: Network) -> Network:
    """Return a detector's network as one that is asked of a box, with the detector's own preprocessing and labels.

    Raises:
        ModelError: the model is no detector that is known.
    """
    scores = as_box_scores(network.model)
    preprocess = network.preprocess if network.preprocess is not None else scores.default_preprocess()
    labels = network.labels if network.labels is not None else scores.default_labels()
    return replace(network, model=scores, preprocess=preprocess, labels=labels, layers={})
