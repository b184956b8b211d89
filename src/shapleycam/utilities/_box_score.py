"""`box_score`: the question why a detector gives a box its score; the box is held fixed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from shapleycam.utilities.utility import Utility


def box_score() -> Utility:
    """Return the utility of `shapleycam.Detector`: the score of the target class at the anchor of the box.

    It reads the output of `shapleycam.models.detectors.BoxScores`: `scores` (b, classes), for one box in each image.

    Examples:
        >>> import torch
        >>> from shapleycam.utilities import box_score
        >>> box_score()({"scores": torch.tensor([[0.1, 0.7]])}, torch.tensor([1]))
        tensor([0.7000])
    """
    return Utility(
        "box score", _score, "s_c(anchor)", "why the box has that score", scores=_scores, predicts=False, raw=True
    )


def _score(output: Any, target: Tensor) -> Tensor:
    scores: Tensor = output["scores"]
    return scores[torch.arange(len(target), device=scores.device), target.to(scores.device)]


def _scores(output: Any, _: Any) -> Tensor:
    scores: Tensor = output["scores"]
    return scores
