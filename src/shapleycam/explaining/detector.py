"""`Detector`: why a detector gives a box its score, for a box that is chosen once and held fixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from math import isclose
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from shapleycam.errors import ImageError, ModelError, OptionError, TargetError
from shapleycam.explaining.batch import Batch
from shapleycam.explaining.detection import (
    BoxChoice,
    Detection,
    check_corners,
    nearest_detection,
    numbered_detection,
    of_class,
)
from shapleycam.explaining.detector_images import Space, image_size_inside, prepare_tensor
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import extra_inputs
from shapleycam.explaining.layer_search import LayerChoice
from shapleycam.explaining.photographs import PreparedPhotograph, prepare_photograph, stack_photographs
from shapleycam.explanations.comparison import Comparison
from shapleycam.explanations.explanation import Explanation
from shapleycam.game.game import MEMORY
from shapleycam.images import Photo
from shapleycam.layers import RULES
from shapleycam.models.detectors import BoxScores, Candidates, detector_network
from shapleycam.models.labels import class_index, class_name
from shapleycam.models.network import Network
from shapleycam.models.resolve import default_device, move_to_device, resolve_network
from shapleycam.smoothing import SmoothChoice, parse_smoothing
from shapleycam.smoothing.table import AUGMENT
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.isolation import device_of, isolated_copy
from shapleycam.tracing.running import run
from shapleycam.tracing.suspension import in_full_precision
from shapleycam.utilities import box_score
from shapleycam.values.options import EstimatorOptions

_TOLERANCE, _ROUNDING = 1e-3, 1e-6
"""How far the score at an anchor may be from the one that the detector gives its box: as a share, and at least."""


class Detector:
    """Explains the boxes of one detector, each by the score of its class where the detector reads it.

    The box is chosen once, on the whole image, and its anchor, query or proposal stays for all coalitions. (A utility
    that takes the best box of each coalition would go over to another object in silence where this one's is gone.)

    Args:
        model: a detector of torchvision (Faster, Mask and Keypoint R-CNN, RetinaNet, FCOS, SSD), of transformers
            (DETR, YOLOS, RT-DETR and their kin) or of ultralytics (its `.model`), a name or a `Network`. It is left as
            it was found.
        layer: as in `Explainer`, with the names of the detector's own modules.
        preprocess: RGB PIL image to tensor (c, h, w). None takes the detector's own: torchvision's resizing and
            padding, ultralytics' letterbox of 640 pixels; transformers' models have none.
        labels: class names in the order of the scores. None takes the detector's own; torchvision's models have none,
            their weights do (`weights.meta["categories"]`).
        device: as in `Explainer`.
        memory: as in `Explainer`.

    Attributes:
        preprocess: RGB PIL image to the network's input; None where it is not known.
        labels: the class names; None where classes are numbers only.
        name: of the model, in results.

    Raises:
        ModelError: the model is no detector that is known.

    Examples:
        >>> import torch, torchvision, shapleycam
        >>> _ = torch.manual_seed(0)
        >>> build = torchvision.models.detection.ssdlite320_mobilenet_v3_large
        >>> model = build(weights=None, weights_backbone=None, num_classes=3)
        >>> detector = shapleycam.Detector(model, labels=("nothing", "cat", "dog"))
        >>> image = torch.rand(3, 240, 320)
        >>> best = detector.detect(image)[0]
        >>> explanation = detector.explain(image, best, "hirescam")
        >>> abs(float(explanation.utility[0]) - best.score) < 1e-3, explanation.label() == best.label
        (True, True)
    """

    def __init__(
        self,
        model: str | nn.Module | Network,
        layer: LayerChoice = None,
        preprocess: Any = None,
        labels: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        memory: int = MEMORY,
    ) -> None:
        def make(network: Network) -> Explainer:
            named = own_layer_names(layer, network.model)
            return Explainer(network, named, box_score(), preprocess, labels, device, memory)

        on = default_device() if device is None and isinstance(model, str) else device
        network = resolve_network(model)
        if on is not None:
            network = replace(network, model=move_to_device(network.model, on, device_of(network.model)))
        self._set(network, make)

    @classmethod
    def of_network(cls, network: Network, make: Callable[[Network], Explainer]) -> Detector:
        """Return the detector of a network; `make` returns an explainer of the utility `box_score()`.

        It is called with a network of `models.detectors.BoxScores`, anew for each box.
        """
        detector = cls.__new__(cls)
        detector._set(network, make)  # noqa: SLF001
        return detector

    def _set(self, network: Network, make: Callable[[Network], Explainer]) -> None:
        self._network, self._make = detector_network(network), make
        base = make(self._network)
        self.preprocess, self.labels, self.name = base.preprocess, base.labels, base.name

    @property
    def model(self) -> BoxScores:
        """Return the detector as the explained model sees it."""
        assert isinstance(self._network.model, BoxScores)  # noqa: S101  # `detector_network` made it
        return self._network.model

    def prepare(self, image: Photo | Tensor) -> PreparedPhotograph:
        """Return one image as the network takes it: a photograph, or a tensor (c, h, w) or (1, c, h, w).

        Tensors are what the model itself takes: of torchvision's detectors images in [0, 1] of any size, of others the
        preprocessed input.

        Raises:
            ImageError: it is no such image, or several.
        """
        transform = self.preprocess
        if isinstance(image, (list, tuple)) and len(image) == 1:
            image = image[0]
        if isinstance(image, torch.Tensor):
            return prepare_tensor(image, transform)
        if isinstance(image, (list, tuple)):
            raise ImageError(f"{len(image)} images were given; expected one, since each has boxes of its own: loop")
        if transform is None:
            raise ImageError(
                "a photograph was given, and how this detector wants it is not known; give preprocess= (RGB PIL image "
                "to tensor (c, h, w)), such as shapleycam.Preprocess(...)"
            )
        return prepare_photograph(image, transform, "image" if isinstance(image, Image.Image) else None)

    def detect(self, image: Photo | Tensor | PreparedPhotograph) -> list[Detection]:
        """Return the boxes that the detector finds in one image, the best first.

        Those of torchvision are the model's own, by its own thresholds; of ultralytics those that suppression leaves,
        and of transformers those of all queries, whatever their score.

        Raises:
            ShapleyCamError: an image or an output of another form than expected.
        """
        prepared = image if isinstance(image, PreparedPhotograph) else self.prepare(image)
        found = self._find(prepared)
        labels, space = self.labels, Space.of(prepared)
        rows = zip(found.boxes.tolist(), found.targets.tolist(), found.scores.tolist(), found.anchors, strict=True)
        return [
            Detection(number, space.to_photo(box), space.size, target, class_name(target, labels), score, anchor[None])
            for number, (box, target, score, anchor) in enumerate(rows)
        ]

    def choose(
        self, image: Photo | Tensor | PreparedPhotograph, box: BoxChoice = None, target: int | str | None = None
    ) -> Detection:
        """Return one box of an image.

        Args:
            image: a photograph or a tensor, as in `prepare`.
            box: the number of a box; (left, top, right, bottom) in pixels of the photograph, for the detected box that
                overlaps it most; a detection of this image; None for the best one.
            target: for a number or a detection the class that is asked for there; otherwise only boxes of this class
                are looked at.

        Raises:
            OptionError, TargetError: there is no such box or class.
            ModelError: the score at the anchor is another than the detector's own.
        """
        prepared = image if isinstance(image, PreparedPhotograph) else self.prepare(image)
        if isinstance(box, Detection):
            return self._asked_for(prepared, box, target)
        detections = self.detect(prepared)
        if not detections:
            raise TargetError(
                f"the detector finds nothing in {prepared.source.name}; lower its score threshold, or give another "
                "image"
            )
        if isinstance(box, int) and not isinstance(box, bool):
            return self._asked_for(prepared, numbered_detection(detections, box), target)
        corners = None if box is None else check_corners(box)
        if corners is not None and not Space.of(prepared).is_of_photo:
            raise OptionError(
                "a box was given by its corners, and where the network's input lies in the photograph is not known; "
                "give the number of a box, or preprocess= a shapleycam.Preprocess"
            )
        labels = self.labels
        if target is not None:
            classes = len(self._scores(prepared, detections[0]))
            detections = of_class(detections, class_index(target, labels, classes), labels)
        chosen = detections[0] if corners is None else nearest_detection(detections, corners)
        return self._asked_for(prepared, chosen, None)

    def explain(
        self,
        image: Photo | Tensor | PreparedPhotograph,
        box: BoxChoice = None,
        method: str = "pathcam-h",
        target: int | str | None = None,
        *,
        options: EstimatorOptions | None = None,
    ) -> Explanation:
        """Explain one box of an image by one method; the arguments are those of `choose`.

        The values are shares of the class's score at the box. Of a method that needs second derivatives R-CNN has none.

        Raises:
            ShapleyCamError: with one line that says what was found, what was expected and what to do.
        """
        return self.compare(image, [method], box, target, options=options)[method]

    def compare(
        self,
        image: Photo | Tensor | PreparedPhotograph,
        methods: Sequence[str],
        box: BoxChoice = None,
        target: int | str | None = None,
        *,
        options: EstimatorOptions | None = None,
        curvature: bool = False,
        smooth: SmoothChoice = None,
    ) -> Comparison:
        """Explain one box of an image by several methods; arguments and errors as in `explain`."""
        if AUGMENT.name in parse_smoothing(smooth):
            raise OptionError(
                "smooth='augment' explains the mirror image too, where the box is at another place; use smooth='noise' "
                "or smooth='eigen'"
            )
        prepared = image if isinstance(image, PreparedPhotograph) else self.prepare(image)
        chosen = self.choose(prepared, box, target)
        # Another module for each box: what is proven of what comes after a layer, and the layer itself, depend on it.
        explainer = self._make(replace(self._network, model=copy(self.model)))
        (comparison,) = explainer.compare_with(
            options or EstimatorOptions(),
            self._batch(prepared, chosen),
            methods,
            [chosen.target],
            curvature=curvature,
            smooth=smooth,
        )
        return comparison

    def _asked_for(self, image: PreparedPhotograph, detection: Detection, target: int | str | None) -> Detection:
        """Return a detection with the class that is asked for at its anchor, after a check of its score there."""
        scores = self._scores(image, detection)
        read = float(scores[detection.target])
        if not isclose(read, detection.score, rel_tol=_TOLERANCE, abs_tol=_ROUNDING):
            raise ModelError(
                f"box {detection.number} has the score {detection.score:.4f}, and {read:.4f} is read at its anchor in "
                f"{image.source.name}; expected the same: give a detection of this image, and of a detector that "
                "scores boxes as its class does"
            )
        if target is None:
            return detection
        number = class_index(target, self.labels, len(scores))
        label = class_name(number, self.labels)
        return replace(detection, target=number, label=label, score=float(scores[number]))

    @restore_when_interrupted
    @torch.no_grad()
    @in_full_precision()
    def _scores(self, image: PreparedPhotograph, detection: Detection) -> Tensor:
        """Return the class scores (classes,) at a detection's anchor."""
        batch = self._batch(image, detection)
        with isolated_copy(self.model) as model:
            scores: Tensor = run(model, batch.images, batch.extra)["scores"][0]
        return scores

    @restore_when_interrupted
    @torch.no_grad()
    @in_full_precision()
    def _find(self, image: PreparedPhotograph) -> Candidates:
        """Return the boxes of a private copy of the detector, which `find` may change."""
        batch = stack_photographs([image], self.model)
        with isolated_copy(self.model) as model:
            assert isinstance(model, BoxScores)  # noqa: S101  # a copy of one
            return model.find(batch.images, image_size_inside(image, self.preprocess))

    def _batch(self, image: PreparedPhotograph, detection: Detection) -> Batch:
        """Return the image as a batch of one, with the anchor as the model's further input."""
        batch = stack_photographs([image], self.model)
        return replace(batch, extra=extra_inputs({"anchors": detection.anchor}, batch.images))


def own_layer_names(layer: LayerChoice, model: nn.Module) -> LayerChoice:
    """Return a choice of layers with the detector's own names as those in the model that holds it."""
    if isinstance(layer, (list, tuple)):
        return [own_layer_names(each, model) for each in layer]  # type: ignore[misc]
    if isinstance(layer, str) and layer not in RULES and f"detector.{layer}" in dict(model.named_modules()):
        return f"detector.{layer}"
    return layer
