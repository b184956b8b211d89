"""The outputs of ultralytics' models: boxes and class scores of every anchor at every scale."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from torchvision.ops import box_convert

from shapleycam.errors import TargetError
from shapleycam.models.detectors.base import describe_output


def read_anchors(
    output: Any, classes: int, further: int = 0
) -> tuple[Float[Tensor, "b m 4"], Float[Tensor, "b m classes"]]:
    """Return the corners of the boxes at all anchors, in pixels of the input, and their class scores in [0, 1].

    Args:
        output: of a detector of YOLOv8 or later in eval mode: (b, 4 + classes + further, anchors), alone or first of a
            tuple; centre, width and height of each box, then the scores.
        classes: how many the model has.
        further: numbers of each anchor behind the scores: of masks or keypoints.

    Raises:
        TargetError: the output has another form.

    Examples:
        >>> import torch
        >>> output = torch.tensor([[[4.0], [6.0], [2.0], [4.0], [0.9], [0.1]]])  # one anchor, two classes
        >>> boxes, scores = read_anchors((output, {}), classes=2)
        >>> boxes.tolist(), scores.shape
        ([[[3.0, 4.0, 5.0, 8.0]]], torch.Size([1, 1, 2]))
    """
    predictions = output
    while isinstance(predictions, (tuple, list)) and predictions:
        predictions = predictions[0]
    rows = 4 + classes + further
    if not isinstance(predictions, Tensor) or predictions.dim() != 3 or predictions.shape[1] != rows:
        raise TargetError(
            f"the model returns {describe_output(output)}; expected (b, {rows}, anchors), a box and {classes} scores "
            "at each anchor, as YOLOv8 and later return it in eval mode: for other heads give a function of yours as "
            "utility"
        )
    scores = predictions[:, 4 : 4 + classes].transpose(1, 2)
    low, high = (float(edge) for edge in scores.detach().aminmax()) if scores.numel() else (0.0, 1.0)
    if not (low >= 0 and high <= 1):
        raise TargetError(
            f"the model's class scores are from {low:.3g} to {high:.3g}; expected sigmoids in [0, 1], as YOLOv8 and "
            "later return them in eval mode"
        )
    return box_convert(predictions[:, :4].transpose(1, 2), "cxcywh", "xyxy"), scores
