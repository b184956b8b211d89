"""torchvision's detectors of one stage: RetinaNet, FCOS and SSD, whose every anchor has scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.ops import clip_boxes_to_image

from shapleycam.models.detectors.base import BoxScores, Candidates, batch_scores, trace_back
from shapleycam.models.detectors.torchvision_preprocess import AlreadyPrepared, TorchvisionDetection

Head = dict[str, Tensor]


def _independent(head: Head) -> Tensor:
    return head["cls_logits"].sigmoid()


def _centred(head: Head) -> Tensor:
    return (head["cls_logits"].sigmoid() * head["bbox_ctrness"].sigmoid()).sqrt()


def _exclusive(head: Head) -> Tensor:
    return head["cls_logits"].softmax(-1)


_SCORES: dict[type, Callable[[Head], Tensor]] = {RetinaNet: _independent, FCOS: _centred, SSD: _exclusive}
"""How each class makes the scores (b, anchors, classes) of its head's outputs, as in its `postprocess_detections`."""
ONE_STAGE = tuple(_SCORES)


class OneStageScores(BoxScores):
    """RetinaNet, FCOS or SSD, asked of the anchor with a number: the scores there, before any suppression."""

    def scores_at(self, images: Tensor, anchors: Tensor) -> Tensor:
        """Return the class scores at the number of an anchor for each image."""
        return batch_scores(self._scores(self._head(self._features(images))), anchors)

    def find(self, image: Tensor, size: tuple[int, int]) -> Candidates:
        """Return the detector's own boxes, each with the number of the anchor that it stems from."""
        features = self._features(image)
        head, scores = self._head(features), self._scores(self._head(features))[0]
        (anchors,) = self.detector.anchor_generator(ImageList(image, [size]), features)  # type: ignore[operator]
        coder, offsets = self.detector.box_coder, head["bbox_regression"][0]
        decode = coder.decode if isinstance(self.detector, FCOS) else coder.decode_single  # type: ignore[union-attr]
        boxes = clip_boxes_to_image(decode(offsets, anchors), size)  # type: ignore[operator]
        self.detector.transform = AlreadyPrepared(size)
        (found,) = self.detector(list(image))
        rows = trace_back(found, boxes, scores)
        return Candidates(found["boxes"], found["labels"], found["scores"], rows[:, None], scores.shape[-1])

    def default_preprocess(self) -> TorchvisionDetection:
        """Return what the detector does with an image inside."""
        return TorchvisionDetection.of(self.detector.transform)

    def _features(self, images: Tensor) -> list[Tensor]:
        features = self.detector.backbone(images)  # type: ignore[operator]
        return [features] if isinstance(features, torch.Tensor) else list(features.values())

    def _head(self, features: list[Tensor]) -> Head:
        outputs: Head = self.detector.head(features)  # type: ignore[operator]
        return outputs

    def _scores(self, head: Head) -> Tensor:
        return next(score for kind, score in _SCORES.items() if isinstance(self.detector, kind))(head)
