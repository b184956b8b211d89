"""Segmentation by queries, each of a class and a mask (MaskFormer, Mask2Former, OneFormer), as scores of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

CLASSES, MASKS = "class_queries_logits", "masks_queries_logits"
"""What transformers calls the logits (b, queries, classes + 1), the last of no object, and (b, queries, h, w)."""


def has_mask_queries(parts: Mapping[Any, Any]) -> bool:
    """Return whether parts of an output are the classes and masks of queries."""
    classes, masks = parts.get(CLASSES), parts.get(MASKS)
    if not isinstance(classes, Tensor) or not isinstance(masks, Tensor):
        return False
    return classes.dim() == 3 and masks.dim() == 4 and classes.shape[:2] == masks.shape[:2] and classes.shape[2] > 1


def pixel_scores(classes: Tensor, masks: Tensor) -> Tensor:
    """Return log Σ_q p_q(c) σ(m_q) of each pixel, (b, classes, h, w).

    The sum is what these models are read by: the class of a pixel is the one where it is largest. The logarithm lets a
    softmax over the classes give the sum as a share of all of them.

    Args:
        classes: logits (b, queries, classes + 1), the last of no object.
        masks: logits (b, queries, h, w).

    Examples:
        >>> import torch
        >>> classes = torch.tensor([[[0.0, 0.0, -torch.inf]]])  # one query: either of two classes, and an object
        >>> pixel_scores(classes, torch.tensor([[[[0.0, 20.0]]]])).exp()
        tensor([[[[0.2500, 0.5000]],
        <BLANKLINE>
                 [[0.2500, 0.5000]]]])
    """
    p, present = classes.float().softmax(-1)[..., :-1], masks.float().sigmoid()
    scores = torch.einsum("bqc,bqhw->bchw", p, present)
    return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
