"""transformers' detectors of queries: DETR and its kin, YOLOS, RT-DETR."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from shapleycam.models.detectors.base import BoxScores, Candidates, batch_scores
from shapleycam.models.detectors.query_outputs import chosen_places, read_queries, selects_queries
from shapleycam.models.labels import labels_from_config


class QueryScores(BoxScores):
    """A detector of transformers, asked of one query.

    Queries that are learned, as DETR's, are known by their number. RT-DETR chooses them among the encoder's places in
    each image by their scores, so that query 7 of a coalition may be of another place than query 7 of the image: there
    the anchor is the number of the place, and its score is that of the query that starts from it, 0 where the model
    chooses other places.
    """

    def scores_at(self, images: Tensor, anchors: Tensor) -> Tensor:
        """Return the class scores of the query of each image."""
        output: Any = self.detector(images)
        _, scores = read_queries(output)
        if not selects_queries(output):
            return batch_scores(scores, anchors)
        is_asked = chosen_places(output) == anchors.to(scores.device)
        return torch.where(is_asked[..., None], scores, 0.0).sum(1)

    def find(self, image: Tensor, size: tuple[int, int]) -> Candidates:
        """Return the boxes of all queries with their best class, the best first."""
        del size  # boxes are fractions of the whole input
        output: Any = self.detector(image)
        boxes, scores = read_queries(output)
        best, targets = scores[0].max(-1)
        order = best.argsort(descending=True, stable=True)
        numbers = chosen_places(output)[0] if selects_queries(output) else torch.arange(len(best), device=best.device)
        height, width = image.shape[-2:]
        pixels = boxes[0] * boxes.new_tensor([width, height, width, height])
        return Candidates(pixels[order], targets[order], best[order], numbers[order][:, None], scores.shape[-1])

    def default_labels(self) -> tuple[str, ...] | None:
        """Return the class names of the model's configuration."""
        return labels_from_config(self.detector)
