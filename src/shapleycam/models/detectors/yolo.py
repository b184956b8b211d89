"""ultralytics' YOLO (v8 and later), whose every anchor at every scale has scores."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.ops import batched_nms

from shapleycam.errors import ModelError
from shapleycam.models.detectors.base import BoxScores, Candidates, batch_scores
from shapleycam.models.detectors.letterbox import Letterbox
from shapleycam.models.detectors.yolo_outputs import read_anchors

_OVERLAP, _MOST = 0.7, 300
"""Of `ultralytics.YOLO.predict`: boxes of one class that overlap more are one, and so many are kept."""
_SIZE = 640


class YoloScores(BoxScores):
    """A detector of ultralytics asked of the anchor with a number: the scores there, before any suppression."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__(detector)
        head: Any = list(detector.model)[-1]  # type: ignore[arg-type]
        if type(detector).__name__ == "OBBModel" or getattr(head, "xyxy", False):
            raise ModelError(
                f"the model is a {type(detector).__name__} whose boxes are turned or given by corners; expected "
                "centre, width and height of upright boxes"
            )
        if getattr(head, "end2end", False):
            raise ModelError(
                f"the {type(head).__name__} of this model chooses its boxes inside (end2end), so that no box has a "
                "place that stays; set model.model[-1].end2end = False, and its other head, with a score at each "
                "anchor, is explained"
            )
        self.classes = len(detector.names)  # type: ignore[arg-type]
        self.further = int(getattr(head, "nm", 0) or getattr(head, "nk", 0))

    def scores_at(self, images: Tensor, anchors: Tensor) -> Tensor:
        """Return the class scores at the number of an anchor for each image."""
        _, scores = read_anchors(self.detector(images), self.classes, self.further)
        return batch_scores(scores, anchors)

    def find(self, image: Tensor, size: tuple[int, int]) -> Candidates:
        """Return the boxes that suppression leaves, the best first, whatever their score, with their anchors."""
        del size  # the padding is around the photograph
        boxes, scores = read_anchors(self.detector(image), self.classes, self.further)
        best, targets = scores[0].max(-1)
        kept = batched_nms(boxes[0], best, targets, _OVERLAP)[:_MOST]
        return Candidates(boxes[0][kept], targets[kept], best[kept], kept[:, None], self.classes)

    def default_preprocess(self) -> Letterbox:
        """Return ultralytics' preprocessing: the whole photograph in a square of 640 pixels, grey around it."""
        return Letterbox.square(_SIZE)

    def default_labels(self) -> tuple[str, ...] | None:
        """Return `model.names` in the order of the scores."""
        names: Any = self.detector.names
        return tuple(str(names[number]) for number in range(self.classes))
