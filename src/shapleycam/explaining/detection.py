"""A detected box with its class and score, and the choice of one box among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from operator import index
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_iou

from shapleycam.drawing.boxes import draw_box
from shapleycam.errors import OptionError, TargetError
from shapleycam.images import Box
from shapleycam.models.labels import class_name
from shapleycam.wording import percent


@dataclass(frozen=True)
class Detection:
    """One box that a detector finds in an image.

    Attributes:
        number: the index of the box among the detector's boxes, from 0, the best first.
        box: (left, top, right, bottom) in pixels of the photograph; in pixels of the network's input if the photograph,
            or the input's position in it, is not known.
        size: (width, height) of the photograph or the input.
        target: the number of its class.
        label: the name of its class.
        score: in [0, 1].
        anchor: (1, k), where the detector reads the box's scores: the index of an anchor or a query, or the corners of
            a proposal in pixels of the network's input.
        overlap: the intersection over union with the corners that the user gave; None if no corners were given.

    Examples:
        >>> import torch, shapleycam
        >>> print(shapleycam.Detection(0, (10, 20, 30, 60), (100, 100), 1, "cat", 0.9, torch.tensor([[7]])))
        box 0: cat, score 90.0%, at 10, 20, 30, 60
    """

    number: int
    box: Box
    size: tuple[int, int]
    target: int
    label: str
    score: float
    anchor: Tensor = field(compare=False)
    overlap: float | None = None

    def __str__(self) -> str:
        """Return the number, class, score and box in words."""
        corners = ", ".join(f"{edge:.0f}" for edge in self.box)
        overlap = "" if self.overlap is None else f", overlap {percent(self.overlap)} with the box that was given"
        return f"box {self.number}: {self.label}, score {percent(self.score, 1)}, at {corners}{overlap}"

    def as_data(self) -> dict[str, Any]:
        """Return the box as data for JSON."""
        return {
            "number": self.number,
            "corners": list(self.box),
            "class": self.target,
            "label": self.label,
            "score": self.score,
            "overlap": self.overlap,
        }

    def draw(self, picture: Image.Image) -> Image.Image:
        """Return a copy of an overlay with the box's outline drawn on it.

        Raises:
            OptionError: the overlay has other proportions than the image, so it does not show the whole image.
        """
        width, height = self.size
        if abs(picture.width / width - picture.height / height) > 1 / width + 1 / height:
            raise OptionError(
                f"the picture has {picture.width} x {picture.height} pixels, and the box lies in one of {width} x "
                f"{height}; expected the same proportions, such as those of explanation.overlay() over the photograph"
            )
        return draw_box(picture, self.box, self.size)


BoxChoice: TypeAlias = "int | Sequence[float] | Detection | None"
"""A box: its number, its corners, a detection, or None for the best box."""


def nearest_detection(detections: Sequence[Detection], corners: Box) -> Detection:
    """Return the detection that overlaps the corners most, with its `overlap` filled in.

    Raises:
        TargetError: no detection overlaps the corners.
    """
    boxes = torch.tensor([each.box for each in detections], dtype=torch.float32, device="cpu")
    overlaps = box_iou(boxes, torch.tensor([corners], dtype=torch.float32, device="cpu"))[:, 0]
    best = int(overlaps.argmax())
    if not float(overlaps[best]) > 0:
        raise TargetError(
            f"none of the {len(detections)} boxes that the detector finds overlaps the box {corners}; the best of them "
            f"is {detections[0]}: give the number of a box, or another one"
        )
    return replace(detections[best], overlap=float(overlaps[best]))


def box_number(box: object) -> int | None:
    """Return the choice of a box as an int, if it is of any integer type; otherwise None."""
    if isinstance(box, bool):
        return None
    try:
        return index(box)  # type: ignore[arg-type]
    except TypeError:
        return None


def numbered_detection(detections: Sequence[Detection], number: int) -> Detection:
    """Return the detection with this number.

    Raises:
        OptionError: there is no box of this number.
    """
    if not 0 <= number < len(detections):
        raise OptionError(
            f"box {number} was asked for, and the detector finds {len(detections)}; expected a number from 0 to "
            f"{len(detections) - 1}, the best first"
        )
    return detections[number]


def of_class(detections: Sequence[Detection], target: int, labels: Sequence[str] | None) -> list[Detection]:
    """Return the detections of one class.

    Raises:
        TargetError: the detector finds no box of this class.
    """
    chosen = [each for each in detections if each.target == target]
    if not chosen:
        names = ", ".join(dict.fromkeys(each.label for each in detections))
        raise TargetError(
            f"the detector finds no box of class {class_name(target, labels)!r}; it finds {names}: give one of these, "
            "or the number of a box with the class to ask for there"
        )
    return chosen


def check_corners(corners: Any) -> Box:
    """Return the corners of a box as four floats.

    Raises:
        OptionError: the corners are not four finite numbers, or the box has no area.
    """
    try:
        edges = (
            () if isinstance(corners, (str, bytes, Mapping, AbstractSet)) else tuple(float(edge) for edge in corners)
        )
    except (TypeError, ValueError, RuntimeError, OverflowError):  # of a tensor (1, 4), or of 10**400
        edges = ()
    is_finite = len(edges) == 4 and all(abs(edge) < float("inf") for edge in edges)
    if not is_finite or edges[2] <= edges[0] or edges[3] <= edges[1]:
        raise OptionError(
            f"the box is {corners!r:.200}; expected the number of a box, or (left, top, right, bottom) in pixels with "
            "left < right and top < bottom"
        )
    left, top, right, bottom = edges
    return left, top, right, bottom
