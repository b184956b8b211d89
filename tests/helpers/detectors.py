"""Small detectors whose boxes and scores can be computed with a pencil, in the forms of three libraries."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

CELL = 16


class Brightness(nn.Module):
    """A backbone of one channel: the mean of each cell of 16 x 16 pixels."""

    out_channels = 1

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(CELL)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return one level."""
        return OrderedDict(level=self.cells(images.mean(1, keepdim=True)))


class CellHead(nn.Module):
    """Scores of class 1: twice the brightness of the anchor's cell and of the one at its right, minus 3."""

    def forward(self, features: list[Tensor]) -> dict[str, Tensor]:
        """Return no offsets, and the logits of two classes at each anchor."""
        (level,) = features
        right = nn.functional.pad(level, (0, 1))[..., 1:]
        z = (2 * (level + right) - 3).flatten(1)
        return {"cls_logits": torch.stack([z - 9, z], -1), "bbox_regression": z.new_zeros(*z.shape, 4)}


def cell_detector(size: int = 64, longest: int = 1000) -> RetinaNet:
    """A RetinaNet of torchvision whose boxes are the cells of 16 pixels; images are not normalised."""
    model = RetinaNet(
        Brightness(),
        num_classes=2,
        anchor_generator=AnchorGenerator(((CELL,),), ((1.0,),)),
        head=CellHead(),
        min_size=size,
        max_size=longest,
        image_mean=[0.0, 0.0, 0.0],
        image_std=[1.0, 1.0, 1.0],
        score_thresh=0.0,
        nms_thresh=0.99,
    )
    return model.eval()


class DetectionModel(nn.Module):
    """A stand-in for ultralytics' in eval mode: (b, 4 + classes, anchors), and the raw predictions beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.names = {0: "dark", 1: "bright"}
        self.model = nn.Sequential(nn.AvgPool2d(CELL), nn.Identity())

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a box of each cell, scored by its brightness."""
        level = self.model(images.mean(1, keepdim=True))
        z = (4 * level - 2).flatten(1)
        rows, columns = level.shape[-2:]
        x = (torch.arange(columns, device=images.device) + 0.5).repeat(rows) * CELL
        y = (torch.arange(rows, device=images.device) + 0.5).repeat_interleave(columns) * CELL
        sides = torch.full_like(x, float(CELL))
        boxes = torch.stack([x, y, sides, sides])[None].expand(len(images), -1, -1)
        scores = torch.stack([-z, z], 1)
        return torch.cat([boxes, scores.sigmoid()], 1), {"scores": scores}


@dataclass
class RTDetrObjectDetectionOutput:
    """The fields of transformers' output that are read."""

    logits: Tensor
    pred_boxes: Tensor
    enc_outputs_class: Tensor
    enc_topk_logits: Tensor


class ChoosingDetector(nn.Module):
    """As RT-DETR: of the four columns of an image, the two brightest become its queries, the brightest first."""

    def __init__(self) -> None:
        super().__init__()
        self.config = None
        self.features = nn.AvgPool2d(4)

    def forward(self, pixel_values: Tensor) -> RTDetrObjectDetectionOutput:
        """Return two queries: class 0 with logit 2 times the brightness of the column, class 1 always with -5."""
        brightness = self.features(pixel_values).mean((1, 2))
        places = torch.stack([brightness, torch.full_like(brightness, -9.0)], -1)
        chosen = torch.topk(brightness, 2, dim=1).indices
        top = places.gather(1, chosen[..., None].expand(-1, -1, 2))
        logits = torch.stack([2 * top[..., 0], torch.full_like(top[..., 0], -5.0)], -1)
        x = (chosen + 0.5) / brightness.shape[1]
        boxes = torch.stack([x, torch.full_like(x, 0.5), torch.full_like(x, 0.25), torch.ones_like(x)], -1)
        return RTDetrObjectDetectionOutput(logits, boxes, places, top)


class ChoosingForObjectDetection(ChoosingDetector):
    """By its name one of transformers."""
