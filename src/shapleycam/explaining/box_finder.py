"""The boxes that a detector finds in an image, and the choice of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isclose
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from shapleycam.errors import ImageError, ModelError, OptionError, TargetError
from shapleycam.explaining.batch import Batch
from shapleycam.explaining.detection import (
    BoxChoice,
    Detection,
    box_number,
    check_corners,
    nearest_detection,
    numbered_detection,
    of_class,
)
from shapleycam.explaining.detector_images import Space, image_size_inside, prepare_tensor
from shapleycam.explaining.explainer import Explainer
from shapleycam.explaining.inputs import extra_inputs
from shapleycam.explaining.photographs import PreparedPhotograph, prepare_photograph, stack_photographs
from shapleycam.images import Photo
from shapleycam.models.detectors import BoxScores, Candidates, detector_network
from shapleycam.models.labels import class_index, class_name
from shapleycam.models.network import Network
from shapleycam.tracing.interrupts import restore_when_interrupted
from shapleycam.tracing.isolation import isolated_copy
from shapleycam.tracing.running import run
from shapleycam.tracing.suspension import in_full_precision

_TOLERANCE, _ROUNDING = 1e-3, 1e-6
"""Relative and absolute tolerance between the score at an anchor and the score that the detector gives its box."""


class _BoxSearch(torch.nn.Module):
    """A module whose forward pass is `BoxScores.find`, so that errors are reported as errors of a model."""

    def __init__(self, model: BoxScores, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self.size = model, size

    def forward(self, images: Tensor) -> Candidates:
        """Return the boxes of one image."""
        return self.model.find(images, self.size)


class BoxFinder:
    """Finds the boxes of one detector in an image, and checks the score at each one's anchor.

    Args:
        network: a detector.
        make: a function that returns an explainer for a network of `models.detectors.BoxScores`.
    """

    def __init__(self, network: Network, make: Callable[[Network], Explainer]) -> None:
        self._network, self._make = detector_network(network), make
        base = make(self._network)
        self.preprocess, self.labels, self.name = base.preprocess, base.labels, base.name

    @property
    def model(self) -> BoxScores:
        """Return the detector as the explained model sees it."""
        return cast("BoxScores", self._network.model)  # `detector_network` returns no other model

    def prepare(self, image: Photo | Tensor) -> PreparedPhotograph:
        """Return one image as the network takes it: a photograph, or a tensor (c, h, w) or (1, c, h, w).

        A tensor is what the model itself takes: an image in [0, 1] of any size for torchvision's detectors, the
        preprocessed input for other detectors.

        Raises:
            ImageError: it is not such an image, or there are several.
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

        For torchvision these are the boxes that the model returns with its own thresholds; for ultralytics the boxes
        after non-maximum suppression; for transformers the boxes of all queries, whatever their score.

        Raises:
            ShapleyCamError: an image or an output of another form than expected.
        """
        prepared = image if isinstance(image, PreparedPhotograph) else self.prepare(image)
        candidates = self._find(prepared)
        labels, space = self.labels, Space.of(prepared)
        boxes, targets, scores, anchors, _ = candidates
        rows = zip(boxes.tolist(), targets.tolist(), scores.tolist(), anchors, strict=True)
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
            box: the number of a box; (left, top, right, bottom) in pixels of the photograph, which chooses the detected
                box that overlaps it most; a detection in this image; or None for the best box.
            target: if `box` is a number or a detection, the class to explain at this box. Otherwise only boxes of this
                class are considered.

        Raises:
            OptionError, TargetError: there is no such box or class.
            ModelError: the score at the anchor differs from the detector's own.
        """
        prepared = image if isinstance(image, PreparedPhotograph) else self.prepare(image)
        if isinstance(box, Detection):
            return self._check_detection(prepared, box, target)
        detections = self.detect(prepared)
        if not detections:
            raise TargetError(
                f"the detector finds nothing in {prepared.source.name}; lower its score threshold, or give another "
                "image"
            )
        number = box_number(box)
        if number is not None:
            return self._at_anchor(prepared, numbered_detection(detections, number), target)
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
        return self._at_anchor(prepared, chosen, None)

    def _check_detection(self, image: PreparedPhotograph, detection: Detection, target: int | str | None) -> Detection:
        """Return a detection that the user passed in, with the class to explain, after a check that it fits the image.

        Raises:
            ModelError: the detection belongs to another image or detector.
        """
        size = Space.of(image).size
        expected = "expected one that this detector made of this image: give detect(image)[number]"
        if detection.size != size:
            (width, height), (own_width, own_height) = size, detection.size
            raise ModelError(
                f"the detection is of an image of {own_width} x {own_height} pixels, and {image.source.name} has "
                f"{width} x {height}; {expected}"
            )
        try:
            return self._at_anchor(image, detection, target)
        except ModelError as error:
            if error.__cause__ is None:
                raise
            raise ModelError(
                f"box {detection.number} cannot be read in {image.source.name} at its anchor "
                f"{detection.anchor.tolist()}; {expected}"
            ) from error

    def _at_anchor(self, image: PreparedPhotograph, detection: Detection, target: int | str | None) -> Detection:
        """Return a detection with the class to explain, after a check that its score can be read at its anchor."""
        scores = self._scores(image, detection)
        read = float(scores[class_index(detection.target, self.labels, len(scores))])
        if not isclose(read, detection.score, rel_tol=_TOLERANCE, abs_tol=_ROUNDING):
            raise ModelError(
                f"box {detection.number} has the score {detection.score:.4g}, and {read:.4g} is read at its anchor in "
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
        batch = self.batch(image, detection)
        with isolated_copy(self.model) as model:
            scores: Tensor = run(model, batch.images, batch.extra)["scores"][0]
        self._check_labels(len(scores))
        return scores

    def _check_labels(self, classes: int) -> None:
        """Refuse labels if there are not as many as classes: they would name the classes wrongly."""
        if self.labels is not None and len(self.labels) != classes:
            raise OptionError(
                f"labels given: {len(self.labels)}, classes that the detector scores: {classes}; expected one for "
                "each: torchvision's class 0 is the background"
            )

    @restore_when_interrupted
    @torch.no_grad()
    @in_full_precision()
    def _find(self, image: PreparedPhotograph) -> Candidates:
        """Return the boxes that the detector finds; `find` runs on a private copy, which it may change."""
        batch = stack_photographs([image], self.model)
        with isolated_copy(self.model) as model:
            size = image_size_inside(image, self.preprocess)
            candidates: Candidates = run(_BoxSearch(cast("BoxScores", model), size), batch.images)
        self._check_labels(candidates.classes)
        return candidates

    def batch(self, image: PreparedPhotograph, detection: Detection) -> Batch:
        """Return the image as a batch of one, with the anchor as the model's further input."""
        batch = stack_photographs([image], self.model)
        return replace(batch, extra=extra_inputs({"anchors": detection.anchor}, batch.images))
