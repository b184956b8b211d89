"""Class scores of pixels from segmentation by queries, each with a class and a mask (MaskFormer, Mask2Former, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

CLASSES, MASKS = "class_queries_logits", "masks_queries_logits"
"""transformers' names of the logits (b, queries, classes + 1), the last class "no object", and (b, queries, h, w)."""


def has_mask_queries(parts: Mapping[Any, Any]) -> bool:
    """Return whether an output has the classes and masks of queries among its parts."""
    classes, masks = parts.get(CLASSES), parts.get(MASKS)
    if not isinstance(classes, Tensor) or not isinstance(masks, Tensor):
        return False
    return classes.dim() == 3 and masks.dim() == 4 and classes.shape[:2] == masks.shape[:2] and classes.shape[2] > 1


def pixel_scores(classes: Tensor, masks: Tensor) -> Tensor:
    """Return log Σ_q p_q(c) σ(m_q) for each pixel and class, (b, classes, h, w).

    These models assign each pixel the class with the largest sum. A softmax over the logarithms gives each class's sum
    as a fraction of the total over all classes.

    Args:
        classes: logits (b, queries, classes + 1) of p; the last class is "no object".
        masks: logits (b, queries, h, w), m.

    Examples:
        >>> import torch
        >>> classes = torch.tensor([[[0.0, 0.0, -torch.inf]]])  # one query: certainly an object, of either class
        >>> pixel_scores(classes, torch.tensor([[[[0.0, 20.0]]]])).exp()
        tensor([[[[0.2500, 0.5000]],
        <BLANKLINE>
                 [[0.2500, 0.5000]]]])
    """
    p, present = classes.float().softmax(-1)[..., :-1], masks.float().sigmoid()
    scores = torch.einsum("bqc,bqhw->bchw", p, present)
    return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
