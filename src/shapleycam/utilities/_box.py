"""The question why a detector sees an object in a box: the score of the detections there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from shapleycam.errors import OptionError, TargetError
from shapleycam.models.detectors.query_outputs import read_queries
from shapleycam.utilities.utility import Labels, Utility


def box(corners: Any = None) -> Utility:
    """Return the utility max_d IoU(box_d, box) · score_d over the target class's detections d.

    The similarity is that of D-RISE (Petsiuk et al. 2021): each coalition is worth what its best detection there is,
    which may be another one than that of the whole image. `shapleycam.Detector` holds one detection fixed. The target
    is by default the class of the best detection (in the box).

    Args:
        corners: (left, top, right, bottom), or (b, 4) for one an image, in the coordinates of the model's own boxes:
            pixels of the input for torchvision's detectors (their output is a list of dicts with boxes, labels and
            scores), fractions of it for transformers' DETR, YOLOS and RT-DETR (logits and pred_boxes). None takes the
            box of the best detection of the class.

    Raises:
        OptionError: not such a box.
        TargetError: when the utility is used: no detections at all, or none of the class.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import box
        >>> detections = [{
        ...     "boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0]]),
        ...     "labels": torch.tensor([1, 1]),
        ...     "scores": torch.tensor([0.9, 0.5]),
        ... }]
        >>> target = torch.tensor([1])
        >>> utility = box((0, 0, 4, 2)).with_image_data(detections, target, None)
        >>> utility(detections, target)  # the large box: 0.9 at an overlap of 1/2, the small one: 0.5 at 1
        tensor([0.5000])
    """
    boxes = None if corners is None else _check_boxes(corners)
    return Utility(
        "score of the box",
        _best_score,
        "max_d IoU(box_d, box) · score_d",
        "why there is such an object in the box",
        scores=partial(_best_by_class, boxes),
        raw=True,
        image_data=boxes,
        make_image_data=_best_boxes if corners is None else None,
    )


def _check_boxes(corners: Any) -> Tensor:
    """Return the user's boxes as (1 or b, 4)."""
    try:
        numbers = torch.as_tensor(corners, dtype=torch.float32, device="cpu")
        is_complete = numbers.shape == (4,) or (numbers.dim() == 2 and numbers.shape[1] == 4 and len(numbers) > 0)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        is_complete = False
    if not is_complete or not numbers.isfinite().all() or not bool((numbers[..., 2:] > numbers[..., :2]).all()):
        shown = corners.tolist() if isinstance(corners, torch.Tensor) else corners
        raise OptionError(
            f"the box is {shown!r:.200}; expected (left, top, right, bottom) with left < right and top < bottom, or "
            "(b, 4) for one an image"
        )
    return numbers.reshape(-1, 4)


def _detections(output: Any) -> list[tuple[Tensor, Tensor]]:
    """Return the boxes (m, 4) and scores (m, classes) of each image's detections."""
    if isinstance(output, Mapping) and {"logits", "pred_boxes"} <= output.keys():
        return list(zip(*read_queries(output), strict=True))
    if isinstance(output, (list, tuple)) and all(_has_detections(image) for image in output):
        classes = 1 + max((int(image["labels"].max()) for image in output if len(image["labels"])), default=0)
        return [(image["boxes"], _by_class(image["scores"], image["labels"], classes)) for image in output]
    raise TargetError(
        f"the model returns a {type(output).__name__}; expected detections: a list of dicts with 'boxes', 'labels' and "
        "'scores' (torchvision), or 'logits' and 'pred_boxes' (transformers' DETR)"
    )


def _has_detections(image: Any) -> bool:
    return isinstance(image, Mapping) and {"boxes", "labels", "scores"} <= image.keys()


def _by_class(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return scores (m,) of one class each as (m, classes), 0 for the others."""
    return scores.new_zeros(len(scores), classes).scatter(1, labels[:, None], scores[:, None])


def _best_score(output: Any, target: Tensor, boxes: Tensor) -> Tensor:
    """Return the best score times overlap of each row: the utility's function."""
    scores_of_rows = []
    for (detected, scores), label, box_of_row in zip(_detections(output), target.tolist(), boxes, strict=True):
        if len(detected) and label < scores.shape[1]:
            overlap = box_iou(detected, box_of_row[None].to(detected))[:, 0]
            scores_of_rows.append((overlap * scores[:, label]).max())
        else:  # nothing is detected: 0, but still in the graph, so that derivatives are 0 and not missing
            scores_of_rows.append(detected.sum() * 0)
    return torch.stack(scores_of_rows)


def _best_by_class(boxes: Tensor | None, output: Any, _: Labels) -> Tensor:
    """Return the best score of each class (b, classes), times its overlap with the box if there is one."""
    best = []
    for index, (detected, scores) in enumerate(_detections(output)):
        if not len(detected):
            raise TargetError(f"the model detects nothing in image {index}; lower its score threshold, or leave it out")
        weight = 1 if boxes is None else box_iou(detected, boxes[index % len(boxes)][None].to(detected))
        best.append((scores.detach() * weight).amax(0))
    return torch.stack(best)


def _best_boxes(output: Any, target: Tensor, _: Labels) -> Tensor:
    """Return the box (b, 4) of each image's best detection of the target class."""
    boxes = []
    for index, ((detected, scores), label) in enumerate(zip(_detections(output), target.tolist(), strict=True)):
        if not float(scores[:, label].detach().max()):
            raise TargetError(f"the model detects no object of class {label} in image {index}; give a box, or a class "
                              "that it detects")  # fmt: skip
        boxes.append(detected[int(scores[:, label].argmax())].detach())
    return torch.stack(boxes)
