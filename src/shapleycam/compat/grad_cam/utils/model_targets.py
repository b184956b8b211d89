"""pytorch-grad-cam's targets: from what the model returns for one image to the number that is explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import box_iou

from shapleycam.errors import TargetError

Output = Float[Tensor, "*b classes"]
Value = Float[Tensor, "*b"]


class ClassifierOutputTarget:
    """The class's output as it is."""

    def __init__(self, category: int) -> None:
        self.category = category

    def __call__(self, model_output: Output) -> Value:
        return model_output[..., self.category]


class ClassifierOutputSoftmaxTarget(ClassifierOutputTarget):
    """The class's probability by softmax."""

    def __call__(self, model_output: Output) -> Value:
        return super().__call__(model_output.softmax(-1))


class ClassifierOutputReST(ClassifierOutputTarget):
    """ReST: the class's output and the logarithm of its probability together."""

    def __call__(self, model_output: Output) -> Value:
        return super().__call__(model_output + model_output.log_softmax(-1))


class BinaryClassifierOutputTarget:
    """A single logit: of yes for category 1, of no otherwise."""

    def __init__(self, category: int) -> None:
        self.category = category

    def __call__(self, model_output: Tensor) -> Tensor:
        return model_output if self.category == 1 else -model_output


class SoftmaxOutputTarget:
    """All probabilities by softmax."""

    def __call__(self, model_output: Output) -> Output:
        return model_output.softmax(-1)


class RawScoresOutputTarget:
    """The output as it is."""

    def __call__(self, model_output: Tensor) -> Tensor:
        return model_output


class SemanticSegmentationTarget:
    """The sum of a class's scores over the pixels of a mask, of an output (classes, h, w).

    Raises:
        TargetError: a mask of another size; one that is broadcast would count scores of several pixels for one.
    """

    def __init__(self, category: int, mask: np.ndarray) -> None:
        self.category, self.mask = category, torch.from_numpy(mask)

    def __call__(self, model_output: Float[Tensor, "classes h w"]) -> Float[Tensor, ""]:
        scores = model_output[self.category]
        if scores.shape != self.mask.shape:
            raise TargetError(
                f"the mask has shape {tuple(self.mask.shape)}, and the model returns {tuple(scores.shape)} for a "
                "class of an image; expected the same size: resize the mask, and leave out an axis of colours"
            )
        return (scores * self.mask.to(model_output.device)).sum()


class FasterRCNNBoxScoreTarget:
    """The sum, over boxes, of overlap and score of the detection that overlaps most.

    Detections count where they overlap more than the threshold and have the box's label.
    """

    def __init__(self, labels: Sequence[int], bounding_boxes: Sequence[np.ndarray], iou_threshold: float = 0.5) -> None:
        self.labels, self.bounding_boxes, self.iou_threshold = labels, bounding_boxes, iou_threshold

    def __call__(self, model_outputs: Mapping[str, Tensor]) -> Float[Tensor, "1"]:
        boxes = model_outputs["boxes"]
        total = boxes.sum()[None] * 0  # in the graph, so that derivatives are zero and not missing
        for box, label in zip(self.bounding_boxes, self.labels, strict=False):
            if not len(boxes):
                break
            overlaps = box_iou(torch.as_tensor(box, device=boxes.device, dtype=boxes.dtype)[None], boxes)[0]
            best = int(overlaps.argmax())
            if overlaps[best] > self.iou_threshold and model_outputs["labels"][best] == label:
                total = total + overlaps[best] + model_outputs["scores"][best]
        return total


class FinerWeightedTarget:
    """The mean of class minus alpha times each other class, weighted by the others' probabilities."""

    def __init__(self, main_category: int, comparison_categories: Sequence[int], alpha: float) -> None:
        self.main_category, self.alpha = main_category, alpha
        self.comparison_categories = list(comparison_categories)

    def __call__(self, model_output: Output) -> Value:
        others = model_output[..., self.comparison_categories]
        weights = model_output.softmax(-1)[..., self.comparison_categories]
        difference = model_output[..., self.main_category, None] - self.alpha * others
        return (weights * difference).sum(-1) / (weights.sum(-1) + 1e-9)
