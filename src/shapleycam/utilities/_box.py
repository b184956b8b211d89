"""Why a detector sees an object in a box: the score of the detections there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou

from shapleycam.errors import OptionError, TargetError
from shapleycam.utilities.utility import Labels, Utility


def box(place: Any = None) -> Utility:
    """The largest score times overlap (intersection over union) of the target class's detections with a box.

    `place` is (left, top, right, bottom), or (b, 4) for one an image, in the coordinates of the model's own boxes:
    pixels of the input for torchvision's detectors (their output is a list of dicts with boxes, labels and scores),
    fractions of it for transformers' DETR (logits and pred_boxes). None takes the best detection of the class; the
    target is by default that of the best detection (in the box). The similarity is that of D-RISE (Petsiuk 2021).

    Raises:
        OptionError: not such a box; TargetError, when it is asked: no detections at all, or none of the class.
    """
    each = None if place is None else _boxes(place)
    return Utility(
        "score of the box",
        _score,
        "max_d IoU(box_d, box) · score_d",
        "why there is such an object in the box",
        scores=partial(_by_class, each),
        raw=True,
        image_data=each,
        make_image_data=_best if place is None else None,
    )


def _boxes(place: Any) -> Tensor:
    boxes = torch.as_tensor(place, dtype=torch.float32).reshape(-1, 4) if _is_whole(place) else None
    if boxes is None or not bool((boxes[:, 2:] > boxes[:, :2]).all()):
        shown = torch.as_tensor(place).tolist()
        raise OptionError(f"the box is {shown}; expected (left, top, right, bottom), or (b, 4) for one an image")
    return boxes


def _is_whole(place: Any) -> bool:
    return torch.as_tensor(place).numel() % 4 == 0 and torch.as_tensor(place).numel() > 0


def _detections(output: Any) -> list[tuple[Tensor, Tensor]]:
    """Of each image the boxes (m, 4) and the scores (m, classes) of its detections."""
    if isinstance(output, Mapping) and {"logits", "pred_boxes"} <= output.keys():
        scores = output["logits"].float().softmax(-1)[..., :-1]  # the last is that of no object
        corners = box_convert(output["pred_boxes"].float(), "cxcywh", "xyxy")
        return list(zip(corners, scores, strict=True))
    if isinstance(output, (list, tuple)) and all(_is_found(image) for image in output):
        classes = 1 + max((int(image["labels"].max()) for image in output if len(image["labels"])), default=0)
        return [(image["boxes"], _spread(image["scores"], image["labels"], classes)) for image in output]
    raise TargetError(
        f"the model returns a {type(output).__name__}; expected detections: a list of dicts with 'boxes', 'labels' and "
        "'scores' (torchvision), or 'logits' and 'pred_boxes' (transformers' DETR)"
    )


def _is_found(image: Any) -> bool:
    return isinstance(image, Mapping) and {"boxes", "labels", "scores"} <= image.keys()


def _spread(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Scores (m,) of one class each as (m, classes)."""
    return scores.new_zeros(len(scores), classes).scatter(1, labels[:, None], scores[:, None])


def _score(output: Any, target: Tensor, places: Tensor) -> Tensor:
    """The utility of each row; 0 where nothing is detected, still in the graph of what is."""
    found = []
    for (boxes, scores), label, place in zip(_detections(output), target.tolist(), places, strict=True):
        if len(boxes) and label < scores.shape[1]:
            overlap = box_iou(boxes, place[None].to(boxes))[:, 0]
            found.append((overlap * scores[:, label]).max())
        else:
            found.append(boxes.sum() * 0)
    return torch.stack(found)


def _by_class(place: Tensor | None, output: Any, _: Labels) -> Tensor:
    """The best score of each class (b, classes), times its overlap with the box if there is one."""
    best = []
    for index, (boxes, scores) in enumerate(_detections(output)):
        if not len(boxes):
            raise TargetError(f"the model detects nothing in image {index}; lower its score threshold, or leave it out")
        weight = 1 if place is None else box_iou(boxes, place[index % len(place)][None].to(boxes))
        best.append((scores.detach() * weight).amax(0))
    return torch.stack(best)


def _best(output: Any, target: Tensor, _: Labels) -> Tensor:
    """The box of the best detection of the class."""
    places = []
    for index, ((boxes, scores), label) in enumerate(zip(_detections(output), target.tolist(), strict=True)):
        if not float(scores[:, label].detach().max()):
            raise TargetError(f"the model detects no object of class {label} in image {index}; give a box, or a class "
                              "that it detects")  # fmt: skip
        places.append(boxes[int(scores[:, label].argmax())].detach())
    return torch.stack(places)
