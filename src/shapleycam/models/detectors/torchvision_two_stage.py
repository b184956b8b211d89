"""torchvision's detectors of two stages: Faster, Mask and Keypoint R-CNN, which score the content of proposals."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import clip_boxes_to_image

from shapleycam.models.detectors.base import BoxScores, Candidates, trace_back
from shapleycam.models.detectors.torchvision_preprocess import AlreadyPrepared, TorchvisionDetection


class TwoStageScores(BoxScores):
    """An R-CNN asked of one proposal: the class scores of what its features have there.

    The proposal of the whole image is held: proposals, which coalitions would change, are not made again.
    """

    def scores_at(self, images: Tensor, anchors: Tensor) -> Tensor:
        """Return the class scores of the proposal (left, top, right, bottom) of each image."""
        logits, _ = self._judge(self._features(images), list(anchors[:, None].to(images.dtype)), images)
        return logits.softmax(-1)

    def find(self, image: Tensor, size: tuple[int, int]) -> Candidates:
        """Return the detector's own boxes, each with the proposal that it stems from."""
        features = self._features(image)
        proposals, _ = self.detector.rpn(ImageList(image, [size]), features)  # type: ignore[operator]
        logits, offsets = self._judge(features, proposals, image)
        decoded = self.detector.roi_heads.box_coder.decode(offsets, proposals)  # type: ignore[union-attr,operator]
        boxes = clip_boxes_to_image(decoded, size)
        self.detector.transform = AlreadyPrepared(size)
        (found,) = self.detector(list(image))
        scores = logits.softmax(-1)
        # A box belongs to a proposal and a class: the class is part of the search.
        rows = [
            trace_back(
                {name: found[name][i : i + 1] for name in ("boxes", "labels", "scores")}, boxes[:, label], scores
            )
            for i, label in enumerate(found["labels"].tolist())
        ]
        chosen = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.long, device=image.device)
        return Candidates(found["boxes"], found["labels"], found["scores"], proposals[0][chosen], scores.shape[-1])

    def default_preprocess(self) -> TorchvisionDetection:
        """Return what the detector does with an image inside."""
        return TorchvisionDetection.of(self.detector.transform)

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        features = self.detector.backbone(images)  # type: ignore[operator]
        return {"0": features} if isinstance(features, torch.Tensor) else features

    def _judge(self, features: dict[str, Tensor], proposals: list[Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the class logits and the box offsets of all proposals."""
        heads, sizes = self.detector.roi_heads, [tuple(images.shape[-2:])] * len(images)
        pooled = heads.box_roi_pool(features, proposals, sizes)  # type: ignore[union-attr,operator]
        logits, offsets = heads.box_predictor(heads.box_head(pooled))  # type: ignore[union-attr,operator]
        return logits, offsets
