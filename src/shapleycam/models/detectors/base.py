"""What all detectors have in common once they are asked of one box: class scores at an anchor that stays the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from shapleycam.errors import ModelError
from shapleycam.models.network import Transform

_TOLERANCE, _ROUNDING = 1e-3, 1e-6
"""How far a score may be from the one that a detector gives its box, and edges from its own: as a share, or at all."""


class Candidates(NamedTuple):
    """The boxes that a detector finds in one image, after its own selection, the best first.

    `boxes` are (left, top, right, bottom) in pixels of the input. `anchors` (n, k) say where the scores are read: the
    number of an anchor or a query, or the corners of a proposal. `classes` is how many each is scored for.

    Examples:
        >>> import torch
        >>> from shapleycam.models.detectors import Candidates
        >>> boxes, anchors = torch.tensor([[0.0, 0.0, 8.0, 4.0]]), torch.tensor([[17]])
        >>> Candidates(boxes, torch.tensor([2]), torch.tensor([0.75]), anchors, classes=3).scores.tolist()
        [0.75]
    """

    boxes: Float[Tensor, "n 4"]
    targets: Int[Tensor, " n"]
    scores: Float[Tensor, " n"]
    anchors: Shaped[Tensor, "n k"]
    classes: int


class BoxScores(nn.Module, ABC):
    """A detector that is asked of one box an image: the class scores at an anchor.

    Which box is meant is decided once, on the whole image, and handed in as its anchor. Nothing of what selects boxes
    (suppression of overlapping ones, thresholds, the largest score) runs again in a coalition, so that no coalition can
    answer for another box.

    Attributes:
        detector: the user's model; its modules keep their names behind `detector.`.

    Examples:
        >>> import torch
        >>> from torchvision.models.detection import ssdlite320_mobilenet_v3_large
        >>> from shapleycam.models.detectors import as_box_scores
        >>> model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
        >>> as_box_scores(model)(torch.rand(1, 3, 320, 320), torch.tensor([[17]]))["scores"].shape
        torch.Size([1, 3])
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Float[Tensor, "b c h w"], anchors: Shaped[Tensor, "b k"]) -> dict[str, Tensor]:
        """Return the scores (b, classes) at the anchor of each image, in [0, 1], and the anchors."""
        return {"scores": self.scores_at(images, anchors), "anchors": anchors}

    @abstractmethod
    def scores_at(self, images: Float[Tensor, "b c h w"], anchors: Shaped[Tensor, "b k"]) -> Float[Tensor, "b classes"]:
        """Return the class scores at the anchor of each image."""

    @abstractmethod
    def find(self, image: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Candidates:
        """Return the boxes of one image, of which the upper left (height, width) pixels are no padding.

        The module is a private copy, in eval mode, and may be changed.
        """

    def default_preprocess(self) -> Transform | None:
        """Return the preprocessing that the detector itself declares; None where it declares none."""
        return None

    def default_labels(self) -> tuple[str, ...] | None:
        """Return the class names that the detector itself has; None where it has none."""
        return None


def batch_scores(scores: Tensor, anchors: Tensor) -> Tensor:
    """Return of scores (b, m, classes) those at one number (b, 1) of an anchor or a query each, (b, classes)."""
    numbers = anchors.to(scores.device)[:, :, None].expand(-1, -1, scores.shape[-1])
    return scores.gather(1, numbers)[:, 0]


def trace_back(
    found: dict[str, Tensor], boxes: Float[Tensor, "m 4"], scores: Float[Tensor, "m classes"]
) -> Int[Tensor, " n"]:
    """Return the row of `boxes` and `scores` that each box of a detector's output stems from.

    Args:
        found: the output for one image: `boxes` (n, 4), `labels` and `scores` (n,).
        boxes: the boxes before any of them was left out, cut to the image as the detector cuts them.
        scores: of these boxes.

    Raises:
        ModelError: a box stems from none of them.
    """
    rows = []
    for box, label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True):
        is_same = (boxes - box).abs().amax(1) <= _TOLERANCE * (1 + float(box.abs().max()))
        difference = (scores[:, label] - score).abs().masked_fill(~is_same, torch.inf)
        row = int(difference.argmin())
        if not float(difference[row]) <= _TOLERANCE * float(score) + _ROUNDING:
            raise ModelError(
                f"the box {[round(edge, 1) for edge in box.tolist()]} of the detector stems from none of the boxes "
                "that it scores; expected a detector of torchvision with its own selection of boxes"
            )
        rows.append(row)
    return torch.tensor(rows, dtype=torch.long, device=boxes.device)


def describe_output(output: Any) -> str:
    """Return the form of an output in words for messages: its shape, or its type and those of its parts."""
    if isinstance(output, Tensor):
        return f"a tensor {tuple(output.shape)}"
    if isinstance(output, (list, tuple)):
        return f"a {type(output).__name__} of {', '.join(map(describe_output, output[:4])) or 'nothing'}"
    if isinstance(output, dict):
        return f"a {type(output).__name__} with {', '.join(map(str, output)) or 'nothing'}"
    return f"a {type(output).__name__}"
