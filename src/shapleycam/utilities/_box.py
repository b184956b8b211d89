"""`box`: the question why a detector finds an object in a box; the utility is the score of the detections there."""

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

    This is the similarity of D-RISE (Petsiuk et al. 2021): the value of a coalition is that of its best detection,
    which may not be the best detection in the whole image. `shapleycam.Detector` holds one detection fixed instead. The
    default target is the class of the best detection (in the box).

    Args:
        corners: (left, top, right, bottom), or (b, 4) with one box for each image, in the coordinates of the model's
            own boxes: pixels of the input for torchvision's detectors (whose output is a list of dicts with boxes,
            labels and scores), fractions of the input for transformers' DETR, YOLOS and RT-DETR (logits and
            pred_boxes). None takes the box of the best detection of the class.

    Raises:
        OptionError: the corners are not such a box.
        TargetError: when the utility is used: there is no detection, or none of the class.

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
    """Return scores (m,), each of one class, as (m, classes) with 0 for the other classes."""
    return scores.new_zeros(len(scores), classes).scatter(1, labels[:, None], scores[:, None])


def _best_score(output: Any, target: Tensor, boxes: Tensor) -> Tensor:
    """Return the best product of score and overlap for each row: the function of the utility."""
    scores_of_rows = []
    for (detected, scores), label, box_of_row in zip(_detections(output), target.tolist(), boxes, strict=True):
        if len(detected) and label < scores.shape[1]:
            overlap = box_iou(detected, box_of_row[None].to(detected))[:, 0]
            scores_of_rows.append((overlap * scores[:, label]).max())
        else:  # nothing is detected: 0, connected to the graph so that the derivative is 0 and does not raise
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
