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

    Examples:
        >>> from torchvision.models.detection import ssdlite320_mobilenet_v3_large
        >>> from shapleycam.models.detectors import as_box_scores
        >>> model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
        >>> as_box_scores(model).detector is model
        True
    """
    if not is_detector(model):
        raise ModelError(
            f"the model is of class {type(model).__name__}; expected a detector: one of torchvision "
            "(Faster, Mask or Keypoint R-CNN, RetinaNet, FCOS, SSD), transformers (DETR, YOLOS, RT-DETR and their kin) "
            "or ultralytics (its .model); for another one give an Explainer a function of yours as utility"
        )
    if isinstance(model, BoxScores):
        return model
    if isinstance(model, ONE_STAGE):
        return OneStageScores(model)
    if isinstance(model, FasterRCNN):  # and its children, Mask and Keypoint R-CNN
        return TwoStageScores(model)
    if is_of_ultralytics(model):
        return YoloScores(model)
    return QueryScores(model)


def is_detector(model: nn.Module) -> bool:
    """Return whether a model is a detector of a library that is known.

    Examples:
        >>> from torch import nn
        >>> from shapleycam.models.detectors import is_detector
        >>> is_detector(nn.Identity())
        False
    """
    is_of_transformers = type(model).__name__.endswith("ForObjectDetection") and hasattr(model, "config")
    return isinstance(model, (BoxScores, FasterRCNN, *ONE_STAGE)) or is_of_ultralytics(model) or is_of_transformers


def is_of_ultralytics(model: nn.Module) -> bool:
    """Return whether a model is a detector of ultralytics, which need not be imported to know it."""
    return any(each.__name__ == "DetectionModel" for each in type(model).__mro__) and hasattr(model, "names")


def detector_network(network: Network) -> Network:
    """Return a detector's network as one that is asked of a box, with the detector's own preprocessing and labels.

    Raises:
        ModelError: the model is no detector that is known.

    Examples:
        >>> from torchvision.models.detection import ssdlite320_mobilenet_v3_large
        >>> from shapleycam import Network
        >>> from shapleycam.models.detectors import BoxScores, detector_network
        >>> model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
        >>> isinstance(detector_network(Network(model)).model, BoxScores)
        True
    """
    scores = as_box_scores(network.model)
    preprocess = network.preprocess if network.preprocess is not None else scores.default_preprocess()
    labels = network.labels if network.labels is not None else scores.default_labels()
    return replace(network, model=scores, preprocess=preprocess, labels=labels, layers={})
